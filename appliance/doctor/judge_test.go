package doctor

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos"
	"aula/netboot"
	"aula/netboot/loader"
	"aula/netboot/neighbour"
)

// A trial is what facts are judged to be, and a word of what was found or is to be done.
type trial struct {
	got     []Result
	verdict Verdict
	says    string
}

func try(t *testing.T, trials map[string]trial) {
	t.Helper()
	for name, tr := range trials {
		if len(tr.got) != 1 {
			t.Errorf("%s: %d results, want one: %v", name, len(tr.got), tr.got)
			continue
		}
		r := tr.got[0]
		if r.Verdict != tr.verdict || !strings.Contains(r.Found+" > "+r.Do, tr.says) {
			t.Errorf("%s: %s: %s > %s\nwant %s, with %q", name, r.Verdict, r.Found, r.Do, tr.verdict, tr.says)
		}
		if (r.Verdict == OK) != (r.Do == "") {
			t.Errorf("%s: what is not ok says what to do, and nothing else does: %v", name, r)
		}
	}
}

func TestCard(t *testing.T) {
	good := cardFacts{name: "lan", up: true, carrier: true, speed: 1000, duplex: "full", address: "10.0.0.1/24"}
	judge := func(change func(*cardFacts)) []Result {
		f := good
		change(&f)
		return []Result{judgeCard(f)}
	}
	try(t, map[string]trial{
		"good":         {judge(func(*cardFacts) {}), OK, "lan 10.0.0.1/24, 1000 Mbit/s full duplex"},
		"virtual":      {judge(func(f *cardFacts) { f.speed, f.duplex = 0, "" }), OK, "lan 10.0.0.1/24"},
		"none":         {judge(func(f *cardFacts) { f.choice = errors.New("lan9 does not exist") }), Problem, "lan9"},
		"off":          {judge(func(f *cardFacts) { f.up = false }), Problem, "ip link set lan up"},
		"no cable":     {judge(func(f *cardFacts) { f.carrier = false }), Problem, "plug the network cable in"},
		"no address":   {judge(func(f *cardFacts) { f.address = "" }), Problem, "ip addr add"},
		"wireless":     {judge(func(f *cardFacts) { f.wlan = true }), Warning, "by cable"},
		"half duplex":  {judge(func(f *cardFacts) { f.duplex = "half" }), Warning, "auto-negotiation"},
		"slow":         {judge(func(f *cardFacts) { f.speed = 100 }), Warning, "100 Mbit/s"},
		"from a lease": {judge(func(f *cardFacts) { f.dynamic, f.manager = true, "NetworkManager" }), Warning, "asked by NetworkManager"},
	})
}

func TestPort(t *testing.T) {
	p := port{network: "udp", number: 67, what: "DHCP"}
	dnsmasq := holder{812, "dnsmasq", "dnsmasq.service"}
	judge := func(f portFacts) []Result { return []Result{judgePort(f)} }
	try(t, map[string]trial{
		"free":             {judge(portFacts{port: p}), OK, "free"},
		"of the appliance": {judge(portFacts{port: p, running: true, err: syscall.EADDRINUSE, holders: []holder{{9, "aula", "aula.service"}}}), OK, "the appliance has it"},
		"of an appliance that is not asked": {
			judge(portFacts{port: p, err: syscall.EADDRINUSE, holders: []holder{{9, "aula", ""}}}), OK, "the appliance has it"},
		"in use":        {judge(portFacts{port: p, err: syscall.EADDRINUSE, holders: []holder{dnsmasq}}), Problem, "sudo systemctl disable --now dnsmasq.service"},
		"by hand":       {judge(portFacts{port: p, err: syscall.EADDRINUSE, holders: []holder{{7, "busybox", ""}}}), Problem, "sudo kill 7"},
		"by somebody":   {judge(portFacts{port: p, err: syscall.EADDRINUSE}), Problem, "ss -lnp"},
		"unseen":        {judge(portFacts{port: p, running: true, err: syscall.EADDRINUSE}), OK, "as it seems"},
		"not root":      {judge(portFacts{port: p, err: fs.ErrPermission}), Warning, "sudo aula doctor"},
		"not listening": {judge(portFacts{port: p, running: true}), Problem, "does not listen here"},
		"no address":    {judge(portFacts{port: p, err: syscall.EADDRNOTAVAIL}), Problem, "address"},
		"with a setting": {
			judge(portFacts{port: port{"tcp", 80, "10.0.0.1", "boot files", "boot.port"}, err: syscall.EADDRINUSE, holders: []holder{{5, "nginx", "nginx.service"}}}),
			Problem, "or change the setting boot.port"},
	})
}

func TestServers(t *testing.T) {
	at := netip.MustParseAddr("10.0.0.254")
	judge := func(mode netboot.Mode, s neighbour.Server) []Result {
		s.Address = at
		return judgeServers(serverFacts{found: []neighbour.Server{s}, mode: mode})
	}
	serving := func(role string, s neighbour.Server) []Result {
		s.Address = at
		return judgeServers(serverFacts{found: []neighbour.Server{s}, mode: netboot.ModeAuto, role: role})
	}
	try(t, map[string]trial{
		"none":          {judgeServers(serverFacts{}), OK, "no other server"},
		"not permitted": {judgeServers(serverFacts{err: fs.ErrPermission}), Warning, "sudo aula doctor"},
		"campus":        {judge(netboot.ModeAuto, neighbour.Server{Leases: true}), OK, "will only tell PCs what to boot"},
		"obeyed":        {serving("proxy", neighbour.Server{Leases: true}), OK, "Aula only tells PCs what to boot"},
		"came later":    {serving("full", neighbour.Server{Leases: true, Boots: true}), Problem, "and so does Aula"},
		"two Aulas":     {serving("full", neighbour.Server{Leases: true, Aula: "library"}), Problem, "library"},
		"rogue":         {judge(netboot.ModeFull, neighbour.Server{Leases: true}), Problem, "home router"},
		"boots":         {judge(netboot.ModeProxy, neighbour.Server{Leases: true, Boots: true, File: "pxelinux.0"}), Problem, "pxelinux.0"},
		"another Aula":  {judge(netboot.ModeAuto, neighbour.Server{Aula: "library", Boots: true}), Warning, "library"},
	})
}

func TestClock(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	try(t, map[string]trial{
		"good":         {judgeClock(clockFacts{now, now, true}), OK, "2027-03-01 12:00"},
		"no RTC":       {judgeClock(clockFacts{now, time.Time{}, true}), OK, ""},
		"1970":         {judgeClock(clockFacts{time.Unix(300, 0).UTC(), time.Unix(300, 0), false}), Problem, "battery"},
		"far ahead":    {judgeClock(clockFacts{now.AddDate(90, 0, 0), now, true}), Problem, "wrong"},
		"local RTC":    {judgeClock(clockFacts{now, now.Add(2 * time.Hour), true}), Warning, "2h0m0s off"},
		"not kept":     {judgeClock(clockFacts{now, now, false}), Warning, "timedatectl"},
		"RTC a bit on": {judgeClock(clockFacts{now, now.Add(time.Minute), true}), OK, ""},
	})
}

func TestDisk(t *testing.T) {
	judge := func(change func(*diskFacts)) []Result {
		f := diskFacts{what: "data folder", path: "/srv/aula", kind: unix.EXT4_SUPER_MAGIC, free: 100 << 30, total: 200 << 30, sync: time.Millisecond, least: 1 << 30, good: 50 << 30}
		change(&f)
		return []Result{judgeDisk(f)}
	}
	try(t, map[string]trial{
		"good":        {judge(func(*diskFacts) {}), OK, "ext4; keeps a record in 1.0 ms"},
		"not there":   {judge(func(f *diskFacts) { f.absent = true }), OK, "will be made"},
		"full":        {judge(func(f *diskFacts) { f.free = 1000 }), Problem, "full"},
		"no space":    {judge(func(f *diskFacts) { f.err = unix.ENOSPC }), Problem, "full"},
		"little room": {judge(func(f *diskFacts) { f.free = 10 << 30 }), Warning, "Windows"},
		"read-only":   {judge(func(f *diskFacts) { f.err = unix.EROFS }), Problem, "dmesg"},
		"not root":    {judge(func(f *diskFacts) { f.err = unix.EACCES }), Warning, "sudo aula doctor"},
		"broken":      {judge(func(f *diskFacts) { f.err = unix.EIO }), Problem, "--data"},
		"memory":      {judge(func(f *diskFacts) { f.kind = tmpfs }), Problem, "lost"},
		"network":     {judge(func(f *diskFacts) { f.kind = nfs }), Warning, "NFS"},
		"images there": {
			judge(func(f *diskFacts) { f.kind, f.what = nfs, "image folder" }), OK, "NFS"},
		"FAT":  {judge(func(f *diskFacts) { f.kind, f.what = vfat, "image folder" }), Warning, "4 GB"},
		"slow": {judge(func(f *diskFacts) { f.sync = time.Second }), Warning, "1000 ms"},
	})
}

func TestServing(t *testing.T) {
	serving := func(change func(*Server)) []Result {
		s := Server{Version: "1", Mode: netboot.ModeAuto, Role: "proxy"}
		change(&s)
		return judgeServing(s)[1:]
	}
	try(t, map[string]trial{
		"full":     {serving(func(s *Server) { s.Role, s.Mode = "full", netboot.ModeFull }), OK, "leases addresses and tells PCs what to boot (mode full)"},
		"proxy":    {serving(func(*Server) {}), OK, "another DHCP server leases the addresses (mode auto)"},
		"asking":   {serving(func(s *Server) { s.Asking = true }), Problem, "aula dhcp allow"},
		"starting": {serving(func(s *Server) { s.Role = "" }), Warning, "cable"},
	})
	results := judgeServing(Server{Version: "1", Role: "full", Notices: []Notice{
		{"info", "a PC was accepted"}, {"warning", "a clock is wrong"}, {"alarm", "10.0.0.9 leases addresses too"},
	}})
	if len(results) != 4 || Worst(results) != Problem || results[2].Verdict != Warning || results[3].Found != "10.0.0.9 leases addresses too" {
		t.Errorf("notices: %v, want the warning and the alarm", results)
	}
}

func TestMulticast(t *testing.T) {
	try(t, map[string]trial{
		"good":       {judgeMulticast(multicastFacts{querier: true}), OK, "keeps switches forwarding"},
		"no querier": {judgeMulticast(multicastFacts{}), Warning, "multicast.querier"},
		"dropped":    {judgeMulticast(multicastFacts{err: errUnheard, querier: true}), Problem, "firewall"},
		"not sent":   {judgeMulticast(multicastFacts{err: unix.ENETUNREACH}), Problem, "multicast on"},
	})
}

func TestFirewall(t *testing.T) {
	needs := []port{{"udp", 67, "", "", ""}, {"tcp", 80, "", "", ""}}
	try(t, map[string]trial{
		"none":     {judgeFirewall(firewallFacts{}), OK, "everything in"},
		"absent":   {judgeFirewall(firewallFacts{err: exec.ErrNotFound}), OK, "none is installed"},
		"not root": {judgeFirewall(firewallFacts{err: fs.ErrPermission}), Warning, "sudo aula doctor"},
		"drops":    {judgeFirewall(firewallFacts{drops: []string{"inet filter"}, needs: needs}), Warning, "UDP 67 and above 32767, TCP 80"},
		"ufw":      {judgeFirewall(firewallFacts{drops: []string{"ip filter"}, names: []string{"ufw"}}), Warning, "ufw drops"},
		"active":   {judgeFirewall(firewallFacts{names: []string{"firewalld"}}), Warning, "firewalld is active"},
	})
}

func TestRights(t *testing.T) {
	all := uint64(1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_ADMIN)
	try(t, map[string]trial{
		"all":    {judgeRights(all), OK, ""},
		"no raw": {judgeRights(all &^ (1 << unix.CAP_NET_RAW)), Warning, "cap_net_raw"},
		"none":   {judgeRights(0), Warning, "cap_net_bind_service"},
	})
	if got := parseRights("Name:\taula\nCapInh:\t0000000000000001\nCapEff:\t00000000a80425fb\n"); got != 0xa80425fb {
		t.Errorf("rights %x", got)
	}
}

func TestCertificate(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	judge := func(from, to time.Time) []Result {
		return judgeCertificate(certificateFacts{path: "/srv/console.crt", found: &x509.Certificate{NotBefore: from, NotAfter: to}, now: now})
	}
	try(t, map[string]trial{
		"good":         {judge(now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0)), OK, "2028-03-01"},
		"none yet":     {judgeCertificate(certificateFacts{err: fs.ErrNotExist}), OK, "first start"},
		"not root":     {judgeCertificate(certificateFacts{err: fs.ErrPermission}), Warning, "sudo"},
		"broken":       {judgeCertificate(certificateFacts{err: errors.New("it is not in PEM form"), path: "/srv/console.crt"}), Problem, "/srv/console.crt"},
		"ended":        {judge(now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0)), Problem, "remove both"},
		"not yet":      {judge(now.AddDate(0, 0, 1), now.AddDate(1, 0, 0)), Problem, "set the clock"},
		"ends soon":    {judge(now.AddDate(-1, 0, 0), now.AddDate(0, 0, 10)), Warning, "2027-03-11"},
		"address gone": {judgeCertificate(certificateFacts{found: &x509.Certificate{NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), IPAddresses: nil}, now: now}), OK, ""},
	})
}

func TestBootFiles(t *testing.T) {
	whole := []program{
		{name: loader.ShimEFI, sbat: map[string]int{"shim": 4}, signed: true}, {name: loader.GRUBEFI, sbat: map[string]int{"grub": 5}, signed: true}, {name: loader.MokEFI, signed: true},
	}
	judge := func(i int, p program) []Result {
		programs := append([]program(nil), whole...)
		p.name = programs[i].name
		programs[i] = p
		return []Result{judgeLoaders(bootFacts{programs: programs})}
	}
	try(t, map[string]trial{
		"whole":        {[]Result{judgeLoaders(bootFacts{programs: whole})}, OK, "signed"},
		"missing":      {[]Result{judgeLoaders(bootFacts{loaders: loader.ErrMissing})}, Problem, "boot loaders"},
		"old shim":     {judge(0, program{sbat: map[string]int{"shim": 2}, signed: true}), Problem, "generation 2"},
		"old GRUB":     {judge(1, program{sbat: map[string]int{"grub": 3}, signed: true}), Problem, "grubx64.efi is of generation 3"},
		"no SBAT":      {judge(1, program{signed: true}), Problem, "generation 0"},
		"not signed":   {judge(2, program{}), Problem, "mmx64.efi is not signed"},
		"not readable": {judge(1, program{err: errors.New("not a PE file")}), Problem, "cannot be read"},
		"no client OS": {judgeBootFiles(bootFacts{clientOS: clientos.ErrMissing, programs: whole})[:1], Problem, "client OS"},
	})
}
