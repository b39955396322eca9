package netboot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"

	"aula/netboot/tftp"
)

// tftpService reads boot loaders out to firmware.
type tftpService struct {
	plan    *plan
	loaders *loaders
	watch   *watch
	server  *tftp.Server
	audit   throttle
}

func newTFTP(p *plan, s *ports, l *loaders, w *watch) *tftpService {
	t := &tftpService{plan: p, loaders: l, watch: w, audit: throttle{every: time.Minute, most: 120}}
	t.server = tftp.New(tftp.Config{Conn: s.tftp, Open: t.open, MTU: p.nic.MTU, SinglePort: p.SinglePort, Began: t.began, Ended: t.ended})
	return t
}

// run serves until ctx ends and the transfers that run then have broken off.
func (t *tftpService) run(ctx context.Context) error { return t.server.Run(ctx) }

func (t *tftpService) open(peer netip.AddrPort, name string) (io.ReadSeekCloser, error) {
	f, err := t.loaders.open(peer.Addr(), name)
	if errors.Is(err, fs.ErrNotExist) {
		if odd := plainName(name); odd != nil {
			return nil, odd
		}
	}
	return f, err
}

// plainName refuses what no firmware asks for and others may decode: percent signs, control characters, and whatever is not ASCII. It is for
// names of which there is no file: some firmware garbles names that are meant well. The bytes 0xff and NUL come from the DHCP packet.
func plainName(name string) error {
	for _, b := range []byte(strings.TrimRight(name, "\xff\x00")) {
		if b < ' ' || b >= 0x7f || b == '%' {
			return fmt.Errorf("%w: %.80q", errName, name)
		}
	}
	return nil
}

// began tells that a PC has asked for a file and takes it.
func (t *tftpService) began(peer netip.AddrPort, name string, size int64) {
	t.tell(Event{Address: peer.Addr(), Phase: Asked, File: name, Size: size, Detail: fmt.Sprintf("asked for %q", name)}, true)
}

// ended tells how a request ended. Of what may be forged not each is told, nor written to the log.
func (t *tftpService) ended(x tftp.Transfer) {
	log := t.plan.Log.With("address", x.Peer.Addr(), "file", x.File)
	e := Event{Address: x.Peer.Addr(), File: x.File, Bytes: x.Sent, Size: x.Size, Took: x.Took, Phase: Failed}
	switch {
	case x.Probe:
		log.Debug("tftp client wanted the size only", "size", x.Size)
		return
	case errors.Is(x.Err, tftp.ErrEvicted):
		log.Debug("tftp request came to nothing", "error", x.Err)
		return
	case x.Err == nil:
		log.Info("tftp transfer", "bytes", x.Size, "took", x.Took.Round(time.Millisecond), "block", x.BlockSize, "window", x.Window,
			"retransmits", x.Retransmits, "unconfirmed", x.Unconfirmed)
		e.Phase, e.Bytes, e.Detail = Answered, x.Size, fmt.Sprintf("%q sent, %d bytes", x.File, x.Size)
	case x.Heard:
		log.Warn("tftp transfer broke off", "bytes", x.Sent, "of", x.Size, "took", x.Took.Round(time.Millisecond), "retransmits", x.Retransmits, "error", x.Err)
		e.Detail = fmt.Sprintf("%q broke off after %d bytes: %v", x.File, x.Sent, x.Err)
	case errors.Is(x.Err, fs.ErrNotExist) && optional(x.File):
		log.Debug("tftp file not served", "error", x.Err)
		return
	default:
		held, ok := t.audit.allow(time.Now())
		if !ok {
			return
		}
		log.Warn("tftp request came to nothing", "error", x.Err, "unmentioned", held)
		e.Detail = fmt.Sprintf("%.80q: %v", x.File, x.Err)
		if errors.Is(x.Err, fs.ErrNotExist) {
			e.Detail = fmt.Sprintf("%.80q is not among the boot files here: look which file name the DHCP server tells PCs", x.File)
		}
	}
	t.tell(e, x.Heard)
}

// tell tells an Event of a PC that is known, or proven to be there.
func (t *tftpService) tell(e Event, proven bool) {
	if t.watch.to == nil {
		return
	}
	e.Time, e.Step = time.Now(), StepLoader
	if mac, ok := t.watch.holder(e.Address); ok {
		e.MAC = mac.String()
	} else if !proven {
		return
	}
	t.watch.to.Observe(e)
}

// optional tells whether a file is one that shim, GRUB and iPXE look for and can do without.
func optional(asked string) bool {
	name := strings.TrimLeft(strings.ToLower(strings.ReplaceAll(strings.TrimRight(asked, "\xff\x00"), `\`, "/")), "/")
	base := path.Base(name)
	return strings.HasPrefix(name, "grub/") || strings.HasPrefix(base, "grub.cfg") || strings.HasPrefix(base, "shim_certificate") ||
		strings.HasPrefix(base, "revocations") || strings.HasSuffix(base, ".ipxe") || strings.HasSuffix(base, ".lst") || strings.HasSuffix(base, ".mod")
}

// A throttle lets so many lines through in a time, and counts the others.
type throttle struct {
	every time.Duration
	most  int

	mu     sync.Mutex
	since  time.Time
	passed int
	held   int
}

// allow tells whether a line may be written, and how many were not since the last.
func (t *throttle) allow(now time.Time) (held int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.since) >= t.every {
		t.since, t.passed = now, 0
	}
	if t.passed >= t.most {
		t.held++
		return 0, false
	}
	t.passed++
	held, t.held = t.held, 0
	return held, true
}
