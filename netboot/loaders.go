package netboot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"

	"aula/netboot/dhcp"
	"aula/netboot/loader"
	"aula/netboot/script"
)

// bootFiles are the boot loaders that DHCP names.
var bootFiles = dhcp.Files{
	BIOS: loader.UndionlyKPXE, BIOSDrivers: loader.IPXEPXE,
	UEFI: loader.ShimEFI, UEFIIPXE: loader.SNPOnlyEFI, UEFIDrivers: loader.IPXEEFI,
}

// Texts that are made here, by the name under which they are asked for.
const (
	// grubConfig is where GRUB looks for its first configuration.
	grubConfig = "grub/grub.cfg"
	// autoexec is what iPXE for UEFI runs when it finds it beside itself. It then keeps the firmware's lease, in place of a DHCP of its own.
	autoexec = "autoexec.ipxe"
)

// loaders are the files that TFTP and HTTP have in common: the boot loaders, and the texts with which they start. Of the boot loaders only names
// that were found when it was made are ever opened, and of the operator's files only those in their folder itself, so no name leads out of it.
type loaders struct {
	files  fs.FS
	names  map[string]string // lower case, from the root -> name in files
	texts  map[string]string // by name
	extras fs.FS             // of the operator; may be nil
	now    func() time.Time

	mu   sync.Mutex
	shim map[netip.Addr]time.Time // who has fetched shim, and when
}

func newLoaders(p *plan) (*loaders, error) {
	l := &loaders{files: p.Loaders, names: map[string]string{}, extras: p.Extras, now: time.Now, shim: map[netip.Addr]time.Time{}}
	if l.files == nil {
		l.files = loader.Files()
	}
	err := fs.WalkDir(l.files, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			l.names[strings.ToLower(name)] = name
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("boot loaders: %w", err)
	}
	if err := loader.Check(l.files); err != nil {
		p.Log.Warn("not every PC can boot", "error", err)
	}
	start, err := script.Start(p.host())
	if err != nil {
		return nil, err
	}
	auto, err := script.Autoexec(p.host())
	if err != nil {
		return nil, err
	}
	l.texts = map[string]string{grubConfig: start, autoexec: auto}
	return l, nil
}

// open opens a file by the name under which a PC asks for it. The error is fs.ErrNotExist when there is none, or errName with what is wrong with
// the name. It may be called by many at once.
func (l *loaders) open(peer netip.Addr, asked string) (io.ReadSeekCloser, error) {
	name, err := l.find(peer, asked)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l.extra(name)
	case err != nil:
		return nil, err
	}
	return l.read(name)
}

// find returns the name of a text, or that which a boot loader has among the files. Where there is none it returns the name that was
// looked for, and fs.ErrNotExist.
func (l *loaders) find(peer netip.Addr, asked string) (string, error) {
	name, err := cleanName(asked)
	if err != nil {
		return "", err
	}
	if _, ok := l.texts[name]; ok {
		return name, nil
	}
	known, ok := l.names[name]
	if !ok && l.garbled(peer, name) {
		known, ok = l.names[loader.GRUBEFI]
	}
	if !ok {
		return name, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if name == loader.ShimEFI {
		l.hasShim(peer)
	}
	return known, nil
}

// read opens what find has found.
func (l *loaders) read(name string) (io.ReadSeekCloser, error) {
	if t, ok := l.texts[name]; ok {
		return text{strings.NewReader(t)}, nil
	}
	return seekable(l.files, name)
}

func seekable(files fs.FS, name string) (io.ReadSeekCloser, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	s, ok := f.(io.ReadSeekCloser)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: cannot be read from the middle", name), f.Close())
	}
	return s, nil
}

// extra opens a file that the operator has put there, such as revocations_sku.efi: shim asks for some that need not be there, but of which
// the firmware of some PCs insists that they are (shim issue 662). It may come and go while the server runs.
func (l *loaders) extra(name string) (io.ReadSeekCloser, error) {
	absent := fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	if l.extras == nil {
		return nil, absent
	}
	entries, err := fs.ReadDir(l.extras, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent
	}
	if err != nil {
		return nil, fmt.Errorf("folder of more boot files: %w", err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.EqualFold(e.Name(), name) {
			return seekable(l.extras, e.Name())
		}
	}
	return nil, absent
}

// Bounds of who is remembered to have fetched shim.
const (
	shimTime  = 2 * time.Minute // within which it asks for GRUB
	mostShims = 4096
)

func (l *loaders) hasShim(peer netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if len(l.shim) >= mostShims {
		maps.DeleteFunc(l.shim, func(_ netip.Addr, at time.Time) bool { return now.Sub(at) > shimTime })
	}
	if len(l.shim) < mostShims {
		l.shim[peer] = now
	}
}

// garbled tells whether it is GRUB that is asked for: shim since 15.8 takes its name, on some Dells, from the text of the firmware's boot
// entry, which there is binary, so that it asks for "\xeaonboard" (shim issues 649 and 696).
func (l *loaders) garbled(peer netip.Addr, name string) bool {
	if !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.shim[peer]
	return ok && l.now().Sub(at) <= shimTime
}

// longestName bounds what is looked at; the longest that firmware asks for has some 40 characters.
const longestName = 255

var errName = errors.New("file name not allowed")

// cleanName makes one form of the many in which firmware writes a name: with backslashes, with slashes before, in other case, with the bytes
// 0xff behind that stood after the option in the DHCP packet. It refuses names that try to lead elsewhere.
func cleanName(asked string) (string, error) {
	if len(asked) > longestName {
		return "", fmt.Errorf("%w: %d bytes long", errName, len(asked))
	}
	name := strings.ToLower(strings.ReplaceAll(strings.TrimRight(asked, "\xff\x00"), `\`, "/"))
	for element := range strings.SplitSeq(name, "/") {
		if element == ".." || strings.ContainsAny(element, "\x00:") {
			return "", fmt.Errorf("%w: %q", errName, asked)
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}

// text is a file in memory.
type text struct{ *strings.Reader }

func (text) Close() error { return nil }
