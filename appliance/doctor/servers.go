package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"aula/netboot"
	"aula/netboot/neighbour"
)

// serverFacts are the other DHCP servers that answered.
type serverFacts struct {
	found []neighbour.Server
	mode  netboot.Mode // that is configured
	role  string       // of the appliance that runs: "full", "proxy"; empty when it does not, or has just started
	err   error
}

func testServers(ctx context.Context, m *machine) []Result {
	if m.nic == nil {
		return nil
	}
	f := serverFacts{mode: m.cfg.DHCP.Mode, role: m.role}
	f.found, f.err = m.probe(ctx)
	return judgeServers(f)
}

// probe asks for other DHCP servers.
func (m *machine) probe(ctx context.Context) ([]neighbour.Server, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "doctor"
	}
	own := func() []netip.Addr { return []netip.Addr{m.address.Addr()} }
	lookout, err := neighbour.New(neighbour.Config{NIC: m.nic, Own: own, Name: neighbour.Name(host)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- lookout.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	return lookout.Probe(ctx)
}

func judgeServers(f serverFacts) []Result {
	const test = "DHCP servers"
	if f.err != nil {
		return []Result{{test, Warning, fmt.Sprintf("not looked for: %v", f.err), "run this as root: sudo aula doctor"}}
	}
	var all []Result
	for _, s := range f.found {
		all = append(all, f.judge(test, s))
	}
	if len(all) == 0 {
		return []Result{{test, OK, "no other server answers on this network", ""}}
	}
	return all
}

// judge judges a server by what Aula does: the role counts when it runs, else the mode that is configured.
func (f serverFacts) judge(test string, s neighbour.Server) Result {
	who := fmt.Sprintf("%s (card %s)", s.Address, s.MAC)
	if s.Aula != "" {
		who = fmt.Sprintf("another Aula, %s, at %s", s.Aula, who)
	}
	switch {
	case s.Leases && f.role == "full":
		return Result{test, Problem, who + " leases addresses here, and so does Aula", rival("set the mode to proxy, on the page Boot of the console or with: aula dhcp mode proxy.")}
	case s.Leases && f.role == "" && f.mode == netboot.ModeFull:
		return Result{test, Problem, who + " leases addresses here, and so shall Aula", rival("set dhcp.mode to auto: Aula then leaves the addresses to the other server.")}
	case s.Aula != "":
		return Result{test, Warning, who + " is on this network", "let one of them serve this network: each PC gets whichever answers first"}
	case s.Boots:
		named := ""
		if s.File != "" {
			named = " (" + s.File + ")"
		}
		return Result{test, Problem, fmt.Sprintf("%s tells PCs what to boot%s, as Aula does", who, named),
			"remove the boot settings there (options 66 and 67, next-server and filename), or switch its service for network boot off: PCs boot from whichever answers first"}
	case s.Leases && f.role == "":
		return Result{test, OK, who + " leases the addresses here; Aula will only tell PCs what to boot", ""}
	default:
		return Result{test, OK, who + " leases the addresses here; Aula only tells PCs what to boot", ""}
	}
}

// rival is what to do about a second server that leases addresses.
func rival(instead string) string {
	return "switch one of them off, or " + instead +
		" When nobody knows that server: look for the card's address in the table of the switch; it is often a home router that somebody plugged in"
}
