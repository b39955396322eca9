package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// firewallFacts are what is known of this machine's packet filter.
type firewallFacts struct {
	err   error
	drops []string // tables whose chain of incoming packets drops what no rule lets in
	names []string // programs that manage it, and are active
	needs []port
}

func testFirewall(ctx context.Context, m *machine) []Result {
	f := firewallFacts{needs: m.ports()}
	if out, err := exec.CommandContext(ctx, "nft", "--json", "list", "chains").Output(); err == nil {
		f.drops, f.err = parseChains(out)
	} else if out, err := exec.CommandContext(ctx, "iptables", "--wait", "2", "-S", "INPUT").Output(); err == nil {
		if strings.Contains(string(out), "-P INPUT DROP") {
			f.drops = []string{"iptables"}
		}
	} else {
		f.err = err
	}
	for name, args := range map[string][]string{"ufw": {"is-active", "ufw"}, "firewalld": {"is-active", "firewalld"}} {
		if exec.CommandContext(ctx, "systemctl", append([]string{"--quiet"}, args...)...).Run() == nil {
			f.names = append(f.names, name)
		}
	}
	return judgeFirewall(f)
}

// parseChains reads what nft --json list chains prints (libnftables-json(5)), and returns the tables that drop incoming packets unless a rule lets them in.
func parseChains(text []byte) ([]string, error) {
	var list struct {
		Items []struct {
			Chain *struct {
				Family string `json:"family"`
				Table  string `json:"table"`
				Hook   string `json:"hook"`
				Policy string `json:"policy"`
			} `json:"chain"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("what nft prints: %w", err)
	}
	var drops []string
	for _, i := range list.Items {
		if c := i.Chain; c != nil && c.Hook == "input" && c.Policy == "drop" && c.Family != "ip6" {
			drops = append(drops, c.Family+" "+c.Table)
		}
	}
	return drops, nil
}

func judgeFirewall(f firewallFacts) []Result {
	const test = "firewall"
	open := map[string][]string{}
	for _, p := range f.needs {
		open[p.network] = append(open[p.network], strconv.Itoa(int(p.number)))
	}
	let := fmt.Sprintf("see that it lets in from the classroom: UDP %s and above 32767, TCP %s, and IGMP", strings.Join(open["udp"], ", "), strings.Join(open["tcp"], ", "))
	names := strings.Join(f.names, ", ")
	switch {
	case len(f.drops) > 0 && names != "":
		return []Result{{test, Warning, names + " drops what it was not told to let in", let}}
	case len(f.drops) > 0:
		return []Result{{test, Warning, fmt.Sprintf("nftables (%s) drops what it was not told to let in", strings.Join(f.drops, ", ")), let}}
	case names != "":
		return []Result{{test, Warning, names + " is active", let}}
	case errors.Is(f.err, exec.ErrNotFound):
		return []Result{{test, OK, "none is installed on this machine", ""}}
	case f.err != nil:
		return []Result{{test, Warning, fmt.Sprintf("not looked at: %v", f.err), "run this as root (sudo aula doctor)"}}
	default:
		return []Result{{test, OK, "this machine lets everything in", ""}}
	}
}
