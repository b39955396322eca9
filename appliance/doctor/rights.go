package doctor

import (
	"context"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// rights are what the appliance needs of a process (capabilities(7)).
var rights = []struct {
	bit  int
	name string
	use  string
}{
	{unix.CAP_NET_BIND_SERVICE, "cap_net_bind_service", "ports below 1024"},
	{unix.CAP_NET_RAW, "cap_net_raw", "looking for other DHCP servers and for addresses in use"},
	{unix.CAP_NET_ADMIN, "cap_net_admin", "answering PCs that have no address yet"},
}

func testRights(_ context.Context, _ *machine) []Result {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil
	}
	return judgeRights(parseRights(string(text)))
}

// parseRights reads the effective capabilities in the text of /proc/PID/status.
func parseRights(status string) uint64 {
	for line := range strings.Lines(status) {
		if text, ok := strings.CutPrefix(line, "CapEff:"); ok {
			bits, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			if err == nil {
				return bits
			}
		}
	}
	return 0
}

func judgeRights(have uint64) []Result {
	const test = "rights"
	var lacking []string
	for _, r := range rights {
		if have&(1<<r.bit) == 0 {
			lacking = append(lacking, r.name+" ("+r.use+")")
		}
	}
	if len(lacking) > 0 {
		return []Result{{test, Warning, "this user lacks " + strings.Join(lacking, ", "), "run this, and the appliance, as root: sudo aula doctor"}}
	}
	return []Result{{test, OK, "all that the appliance needs", ""}}
}
