package netboot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pin/tftp/v3"
)

// Limits of TFTP.
const (
	tftpSessions       = 512 // at once, in all
	tftpSessionsPerPC  = 8   // a PC that got no answer asks again from another port
	tftpTimeout        = time.Second
	tftpRetries        = 8
	tftpPacketOverhead = 32 // IPv4, UDP and TFTP headers
)

// tftpService reads boot loaders out to firmware. It is read-only, and made for a few megabytes: whatever follows the loader comes by HTTP.
type tftpService struct {
	plan    *plan
	conn    *net.UDPConn
	loaders *loaders
	watch   *watch
	server  *tftp.Server

	mu       sync.Mutex
	sessions map[netip.Addr]int
	total    int
}

func newTFTP(p *plan, s *ports, l *loaders, w *watch) *tftpService {
	t := &tftpService{plan: p, conn: s.tftp, loaders: l, watch: w, sessions: map[netip.Addr]int{}}
	t.server = tftp.NewServer(t.read, nil)
	t.server.SetTimeout(tftpTimeout)
	t.server.SetRetries(tftpRetries)
	t.server.SetBackoff(func(int) time.Duration { return 0 }) // the timeout is pause enough
	// Left alone, the library forgets its own four bytes and lets blocks grow into fragments.
	t.server.SetBlockSize(p.nic.MTU - tftpPacketOverhead)
	return t
}

// run serves until ctx ends and the transfers that run then have broken off.
func (t *tftpService) run(ctx context.Context) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		t.conn.Close()
		t.server.Shutdown()
	})
	if err := t.server.Serve(t.conn); err != nil {
		stop()
		return fmt.Errorf("tftp: %w", err)
	}
	<-stopped
	return nil
}

// read answers one request. What it returns is the text of the error packet.
func (t *tftpService) read(name string, to io.ReaderFrom) error {
	peer := to.(tftp.OutgoingTransfer).RemoteAddr()
	at, _ := netip.AddrFromSlice(peer.IP.To4())
	if err := t.enter(at); err != nil {
		t.plan.Log.Warn("tftp request refused", "address", at, "file", name, "error", err)
		return err
	}
	defer t.leave(at)
	f, err := t.loaders.open(name)
	if err != nil {
		level := t.plan.Log.Debug // shim and GRUB ask for files that need not be there
		if errors.Is(err, errName) {
			level = t.plan.Log.Warn
		}
		level("tftp file not served", "address", at, "file", name, "error", err)
		return errors.New("file not found")
	}
	defer f.Close()
	began := time.Now()
	n, err := to.ReadFrom(f)
	switch {
	case err != nil && n == 0:
		// EDK2 and PXE ROMs ask for the size, then break off and ask for the file.
		t.plan.Log.Debug("tftp client wanted the size only", "address", at, "file", name, "reason", err)
	case err != nil:
		t.plan.Log.Warn("tftp transfer broke off", "address", at, "file", name, "bytes", n, "error", err)
		t.watch.at(at, StepLoader, fmt.Sprintf("%q broke off after %d bytes", name, n))
	default:
		t.plan.Log.Info("tftp transfer", "address", at, "file", name, "bytes", n, "took", time.Since(began).Round(time.Millisecond))
		t.watch.at(at, StepLoader, fmt.Sprintf("%q sent, %d bytes", name, n))
	}
	return err
}

var errBusy = errors.New("too many transfers at once, try again")

func (t *tftpService) enter(a netip.Addr) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total >= tftpSessions || t.sessions[a] >= tftpSessionsPerPC {
		return errBusy
	}
	t.total++
	t.sessions[a]++
	return nil
}

func (t *tftpService) leave(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total--
	if t.sessions[a]--; t.sessions[a] == 0 {
		delete(t.sessions, a)
	}
}
