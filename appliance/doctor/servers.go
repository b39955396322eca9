package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"aula/netboot"
	"aula/netboot/neighbour"
)

// serverFacts are the other DHCP servers that answered.
type serverFacts struct {
	found []neighbour.Server
	mode  netboot.Mode
	err   error
}

func testServers(ctx context.Context, m *machine) []Result {
	if m.nic == nil {
		return nil
	}
	f := serverFacts{mode: m.cfg.DHCP.Mode}
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
		all = append(all, judgeServer(test, s, f.mode))
	}
	if len(all) == 0 {
		return []Result{{test, OK, "no other server answers on this network", ""}}
	}
	return all
}

func judgeServer(test string, s neighbour.Server, mode netboot.Mode) Result {
	who := fmt.Sprintf("%s (card %s)", s.Address, s.MAC)
	switch {
	case s.Aula != "":
		return Result{test, Warning, fmt.Sprintf("another Aula, %s, is on this network at %s", s.Aula, who), "let one of them serve this network: each PC gets whichever answers first"}
	case s.Boots:
		named := ""
		if s.File != "" {
			named = " (" + s.File + ")"
		}
		return Result{test, Problem, fmt.Sprintf("%s tells PCs what to boot%s, as Aula does", who, named),
			"remove the boot settings there (options 66 and 67, next-server and filename), or switch its service for network boot off: PCs boot from whichever answers first"}
	case s.Leases && mode == netboot.ModeFull:
		return Result{test, Problem, fmt.Sprintf("%s leases addresses here, and so shall Aula", who),
			strings.Join([]string{"switch one of them off, or set dhcp.mode to auto: Aula then leaves the addresses to the other server.",
				"When nobody knows that server: look for the card's address in the table of the switch; it is often a home router that somebody plugged in"}, " ")}
	default:
		return Result{test, OK, fmt.Sprintf("%s leases the addresses here; Aula only tells PCs what to boot", who), ""}
	}
}
