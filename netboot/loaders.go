package netboot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"aula/netboot/dhcp"
	"aula/netboot/loader"
	"aula/netboot/script"
)

// bootFiles are the boot loaders that DHCP names.
var bootFiles = dhcp.Files{
	BIOS: loader.UndionlyKPXE, BIOSDrivers: loader.IPXEPXE,
	UEFI: loader.ShimEFI, UEFIIPXE: loader.SNPOnlyEFI, UEFIDrivers: loader.IPXEEFI,
}

// grubConfig is where GRUB looks for its first configuration.
const grubConfig = "grub/grub.cfg"

// loaders are the files that TFTP and HTTP have in common: the boot loaders, and the configuration with which GRUB starts. Only names
// that were found when it was made are ever opened, so no name can lead out of it.
type loaders struct {
	files fs.FS
	names map[string]string // lower case, from the root -> name in files
	grub  string            // text of grubConfig
}

func newLoaders(p *plan) (*loaders, error) {
	l := &loaders{files: p.Loaders, names: map[string]string{}}
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
	if l.grub, err = script.Start(p.host()); err != nil {
		return nil, err
	}
	return l, nil
}

// open opens a file by the name under which a PC asks for it. The error is fs.ErrNotExist when there is none, or says what is wrong with
// the name.
func (l *loaders) open(asked string) (io.ReadSeekCloser, error) {
	name, err := cleanName(asked)
	if err != nil {
		return nil, err
	}
	if name == grubConfig {
		return text{strings.NewReader(l.grub)}, nil
	}
	known, ok := l.names[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	f, err := l.files.Open(known)
	if err != nil {
		return nil, err
	}
	s, ok := f.(io.ReadSeekCloser)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: cannot be read from the middle", known), f.Close())
	}
	return s, nil
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
