package webui

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/netboot"
	"aula/netboot/dhcp"
	"aula/netboot/neighbour"
)

// What the appliance is on its network, and what the operator is asked about it.

// A networkView is the panel of the network.
type networkView struct {
	mark
	On        bool
	Interface string
	Address   string
	Says      string // the role, in a sentence
	Advice    string // what to do; may be empty
	Question  question
	Mode      netboot.Mode
	ModeText  string
	Fixed     bool // the mode is not the console's to change
	Probed    time.Time
	Others    []otherView
	Pools     []poolView
	Dropped   string // packets that were not answered, in a sentence; may be empty
}

// An otherView is another server on the network.
type otherView struct {
	Address string
	Does    string
	MAC     string
	First   time.Time
	Last    time.Time
}

// A poolView is a range of addresses and how full it is.
type poolView struct {
	mark
	Range   string
	Network string
	Percent int
	Text    string
}

// A question is what the operator is asked before addresses are leased.
type question struct {
	Asked     bool
	Interface string
	Range     string
	Fixed     bool // there is no other choice here than to agree
}

// An attention is what every page says, whatever it is about.
type attention struct {
	Question question
	Alarm    string // the first
	Alarms   int
	Notices  int // warnings and alarms
}

// attention gathers it. It is asked for with each page.
func (s *Server) attention() attention {
	var a attention
	if s.cfg.Network != nil {
		a.Question = s.question(s.cfg.Network.Status())
	}
	if s.cfg.Boots == nil {
		return a
	}
	for _, n := range s.cfg.Boots.Notices() {
		switch n.Level {
		case netboot.Alarm:
			if a.Alarms == 0 {
				a.Alarm = n.Text
			}
			a.Alarms++
			a.Notices++
		case netboot.Warning:
			a.Notices++
		}
	}
	return a
}

// More is how many alarms there are beside the one that is shown.
func (a attention) More() int { return a.Alarms - 1 }

func (s *Server) question(st netboot.Status) question {
	q := question{Asked: st.Asking, Interface: st.Interface, Fixed: s.cfg.ModeFixed}
	if len(st.Pools) > 0 {
		q.Range = addressRange(st.Pools[0].First, st.Pools[0].Last)
	}
	return q
}

// addressRange is "192.168.77.128-254", or both addresses whole when they are not in the same /24.
func addressRange(first, last netip.Addr) string {
	if !first.IsValid() || !last.IsValid() {
		return ""
	}
	a, b := first.String(), last.String()
	dot := strings.LastIndexByte(a, '.')
	if dot > 0 && strings.HasPrefix(b, a[:dot+1]) {
		return a + "–" + b[dot+1:]
	}
	return a + " – " + b
}

func noticeMark(level string) mark {
	switch level {
	case netboot.Alarm:
		return mark{toneBad, "cross", "Alarm"}
	case netboot.Warning:
		return mark{toneWarn, "warn", "Warning"}
	}
	return mark{toneIdle, "ready", "Note"}
}

func (s *Server) viewNetwork() networkView {
	if s.cfg.Network == nil {
		return networkView{}
	}
	st := s.cfg.Network.Status()
	v := networkView{
		On: true, Interface: st.Interface, Mode: st.Mode, ModeText: modeWords[st.Mode], Fixed: s.cfg.ModeFixed, Probed: st.Probed,
		Question: s.question(st),
	}
	if st.Address.IsValid() {
		v.Address = st.Address.String()
	}
	v.mark, v.Says, v.Advice = roleOf(st)
	v.Dropped = dropped(st.Drops)
	for _, other := range st.Others {
		v.Others = append(v.Others, otherView{shownAddress(other.Address), otherDoes(other), other.MAC, other.First, other.Last})
	}
	for _, p := range st.Pools {
		v.Pools = append(v.Pools, viewPool(p))
	}
	return v
}

// roleOf says what the appliance does on the network, and what there is to do about it.
func roleOf(st netboot.Status) (m mark, says, advice string) {
	lessors := lessorsOf(st.Others)
	switch {
	case st.Role == dhcp.Full && len(lessors) > 0:
		return mark{toneBad, "warn", "Two servers lease"}, fmt.Sprintf("Aula leases addresses, and so does %s.", strings.Join(lessors, " and ")),
			"Two servers give PCs different addresses. Switch the other one off, or choose ProxyDHCP below."
	case st.Role == dhcp.Full:
		return mark{toneGood, "check", "DHCP"}, "Aula leases addresses and tells PCs what to boot.", ""
	case st.Role == dhcp.Proxy && len(lessors) > 0:
		verb := "leases"
		who := "Another server, " + lessors[0] + ","
		if len(lessors) > 1 {
			who, verb = "Other servers, "+strings.Join(lessors, " and ")+",", "lease"
		}
		return mark{toneGood, "check", "ProxyDHCP"}, fmt.Sprintf("%s %s addresses; Aula tells PCs what to boot (ProxyDHCP).", who, verb), ""
	case st.Role == dhcp.Proxy && st.Asking:
		return mark{toneWarn, "warn", "Waits for you"}, "No server leases addresses: PCs cannot boot until one does.", ""
	case st.Role == dhcp.Proxy:
		return mark{toneWarn, "warn", "ProxyDHCP"}, "Aula only tells PCs what to boot (ProxyDHCP). No server that leases addresses has answered.",
			"PCs without an address cannot boot. Switch the DHCP server of this network on, or let Aula lease addresses."
	}
	return mark{toneIdle, "clock", "Starting"}, "The boot services are starting.", ""
}

// lessorsOf are the other servers that lease, by name or address.
func lessorsOf(all []neighbour.Server) []string {
	var names []string
	for _, other := range all {
		if !other.Leases {
			continue
		}
		name := shownAddress(other.Address)
		if other.Aula != "" {
			name += " (the Aula " + other.Aula + ")"
		}
		names = append(names, name)
	}
	return names
}

func otherDoes(other neighbour.Server) string {
	does := "answers PCs"
	switch {
	case other.Leases && other.Boots:
		does = "leases addresses and tells PCs what to boot"
	case other.Leases:
		does = "leases addresses"
	case other.Boots:
		does = "tells PCs what to boot"
	}
	if other.Leases && other.Offered.IsValid() {
		does += ", such as " + other.Offered.String()
	}
	if other.Aula != "" {
		return "the Aula " + other.Aula + "; it " + does
	}
	return does
}

// A pool is tight when fewer than a tenth of its addresses are left.
const tightPool = 90

func viewPool(p netboot.Pool) poolView {
	used := p.Leased + p.Quarantined
	v := poolView{Range: addressRange(p.First, p.Last), Percent: max(0, percent(int64(used), int64(p.Size)))}
	if p.Network.IsValid() {
		v.Network = p.Network.String()
	}
	v.Text = fmt.Sprintf("%d of %d leased", p.Leased, p.Size)
	if p.Reserved > 0 {
		v.Text += fmt.Sprintf(", %d reserved", p.Reserved)
	}
	if p.Quarantined > 0 {
		v.Text += fmt.Sprintf(", %d in quarantine: something else answers there", p.Quarantined)
	}
	switch {
	case p.Size > 0 && used >= p.Size:
		v.mark = mark{toneBad, "cross", "Full"}
	case v.Percent >= tightPool:
		v.mark = mark{toneWarn, "warn", "Nearly full"}
	default:
		v.mark = mark{toneGood, "check", "Free"}
	}
	return v
}

// answerQuestion agrees that addresses are leased, or leaves that to others for good.
func (s *Server) answerQuestion(c echo.Context) error {
	if s.cfg.Network == nil {
		return echo.ErrNotFound
	}
	var err error
	switch answer := c.FormValue("answer"); answer {
	case "lease":
		err = s.agreeToLease(c.Request().Context())
	case "proxy":
		err = s.declineToLease(c.Request().Context())
	default:
		err = invalid("answer %q or %q, not %.40q", "lease", "proxy", answer)
	}
	return s.afterNetwork(c, err)
}

// changeMode sets how the appliance finds its role.
func (s *Server) changeMode(c echo.Context) error {
	if s.cfg.Network == nil {
		return echo.ErrNotFound
	}
	return s.afterNetwork(c, s.setMode(c.Request().Context(), netboot.Mode(c.FormValue("mode"))))
}

func (s *Server) setMode(ctx context.Context, mode netboot.Mode) error {
	if s.cfg.ModeFixed {
		return invalid("the mode is set by the configuration file or the command line; change it there")
	}
	if modeWords[mode] == "" {
		return invalid("the mode of DHCP is auto, full or proxy, not %.40q", mode)
	}
	changes := s.cfg.Network.Status().Mode != mode
	err := s.cfg.Catalog.ChangeBootSettings(func(b *catalog.BootSettings) {
		b.Mode = string(mode)
		b.LeaseConsent = b.LeaseConsent && !changes // who changes the mode is asked anew when there is something to ask
	})
	if err != nil {
		return err
	}
	s.cfg.Network.SetMode(mode)
	s.log.Info("mode of DHCP set", "mode", mode, "by", callerOf(ctx).name())
	return nil
}

// dropped counts the packets of PCs and relay agents that got no answer.
func dropped(d dhcp.Drops) string {
	var parts []string
	for _, p := range []struct {
		times uint64
		what  string
	}{
		{d.UnknownRelay, "by relay agents of networks that are not configured"}, {d.NoSubnet, "from networks that are not served"},
		{d.Exhausted, "when no address was left"}, {d.Newcomers, "from more new PCs at a time than are served"}, {d.Malformed, "that could not be read"},
	} {
		if p.times > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.times, p.what))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "DHCP packets without an answer since Aula started: " + strings.Join(parts, ", ") + "."
}

// stillAsked says why a question cannot be answered now. An old page may still show it, and what is agreed to unasked would be heeded much later, when nobody remembers.
func stillAsked(st netboot.Status) error {
	switch lessors := lessorsOf(st.Others); {
	case st.Asking:
		return nil
	case st.Role == dhcp.Full:
		return invalid("nothing is asked any more: Aula leases addresses already")
	case st.Mode != netboot.ModeAuto:
		return invalid("nothing is asked in the mode %s; an administrator can change the mode", st.Mode)
	case len(lessors) > 0:
		return invalid("nothing is asked any more: %s leases addresses", strings.Join(lessors, " and "))
	case st.Probed.IsZero():
		return invalid("nothing is asked yet: other DHCP servers are still being looked for; try again in some seconds")
	}
	return invalid("nothing is asked any more: somebody has answered; it takes some seconds until the answer is heeded")
}

// declineToLease answers the question whether addresses may be leased: not now, and not later.
func (s *Server) declineToLease(ctx context.Context) error {
	if err := stillAsked(s.cfg.Network.Status()); err != nil {
		return err
	}
	return s.setMode(ctx, netboot.ModeProxy)
}

// agreeToLease answers the question whether addresses may be leased.
func (s *Server) agreeToLease(ctx context.Context) error {
	if err := stillAsked(s.cfg.Network.Status()); err != nil {
		return err
	}
	if err := s.cfg.Catalog.ChangeBootSettings(func(b *catalog.BootSettings) { b.LeaseConsent = true }); err != nil {
		return err
	}
	s.cfg.Network.Reconsider()
	s.log.Info("leasing of addresses agreed to", "by", callerOf(ctx).name())
	return nil
}

// lookAgain asks for other DHCP servers now, which takes some seconds.
func (s *Server) lookAgain(c echo.Context) error {
	if s.cfg.Network == nil {
		return echo.ErrNotFound
	}
	_, err := s.cfg.Network.Probe(c.Request().Context())
	if err != nil {
		s.log.Warn("other DHCP servers not looked for", "error", err)
		err = invalid("other DHCP servers could not be looked for: %v", err)
	}
	return s.afterNetwork(c, err)
}

// afterNetwork goes on after a form about the network.
func (s *Server) afterNetwork(c echo.Context, err error) error {
	switch {
	case err == nil:
		s.BootChanged("")
		return s.goTo(c, "/boot?did=network")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.bootPage(c, statusOf(err), textOf(err))
}
