package doctor

import (
	"context"
	"fmt"

	"aula/netboot"
)

// A Server is what the appliance that runs on this machine says of itself.
type Server struct {
	Version string
	Mode    netboot.Mode // auto, full or proxy
	Role    string       // "full", "proxy" or, while it starts, empty
	Asking  bool         // somebody has to agree before it leases addresses
	Notices []Notice
}

// A Notice is something that the appliance tells people about the network.
type Notice struct {
	Level string // info, warning or alarm
	Text  string
}

// ask finds out whether the appliance runs, and how it stands.
func (m *machine) ask(ctx context.Context, server func(context.Context) (Server, error)) []Result {
	if server != nil {
		if s, err := server(ctx); err == nil {
			m.running, m.role = s.Version, s.Role
			return judgeServing(s)
		}
	}
	return []Result{{"appliance", OK, "it does not run now, or with another data folder than " + m.cfg.Data, ""}}
}

// judgeServing judges an appliance that runs.
func judgeServing(s Server) []Result {
	results := []Result{{"appliance", OK, "Aula " + s.Version + " runs on this machine", ""}, judgeRole(s)}
	for _, n := range s.Notices {
		verdict := map[string]Verdict{"warning": Warning, "alarm": Problem}[n.Level]
		if verdict != "" { // the others only inform
			results = append(results, Result{"notice", verdict, n.Text, ""})
		}
	}
	return results
}

// judgeRole tells what PCs get from it.
func judgeRole(s Server) Result {
	const test = "role"
	mode := fmt.Sprintf(" (mode %s)", s.Mode)
	switch {
	case s.Asking:
		return Result{test, Problem, "no other DHCP server answers, and this one waits for somebody to agree before it leases addresses: PCs get none" + mode,
			"agree on the page Boot of the console, or with: aula dhcp allow"}
	case s.Role == "full":
		return Result{test, OK, "leases addresses and tells PCs what to boot" + mode, ""}
	case s.Role == "proxy":
		return Result{test, OK, "tells PCs what to boot; another DHCP server leases the addresses" + mode, ""}
	default:
		return Result{test, Warning, "not known yet: it has just started, or its network card has no link" + mode, "look again in a minute; then at the cable"}
	}
}
