package incorporation

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strings"
)

const (
	openGnsys = "OpenGnsys"
	backup    = ".ant" // what OpenGnsys appends to the previous version of an image and of its sums
	tailLen   = 1 << 20
)

// looksLikeOpenGnsys tells whether an image has the files beside it that OpenGnsys makes.
func looksLikeOpenGnsys(f *folder, image string) bool {
	base, old := strings.CutSuffix(image, backup)
	for _, suffix := range []string{".sum", ".full.sum", ".torrent", ".info"} {
		if f.has(base+suffix) || old && f.has(base+suffix+backup) {
			return true
		}
	}
	return old || f.has(base+backup)
}

var infoLine = regexp.MustCompile(`^[A-Za-z0-9.]+:[A-Za-z0-9]*:[A-Za-z0-9-]*:\d*:([A-Za-z0-9][A-Za-z0-9_.-]{0,63})\s*$`)

// hostname is the name of the computer on which OpenGnsys made an image, when the file .info says it.
func hostname(f *folder, image string) string {
	data, err := f.small(image + ".info")
	if err != nil {
		return ""
	}
	if m := infoLine.FindSubmatch(data); m != nil {
		return string(m[1])
	}
	return ""
}

var sumOnly = regexp.MustCompile(`^([0-9A-Fa-f]{32})\s*$`)

// checkOpenGnsys compares an image with the sums that OpenGnsys has written beside it: .full.sum is the MD5 of the file, .sum that
// of its last MiB or, from versions before 1.0.4, of the whole file. A sum that can only be checked by reading all is left to Run.
// One that is older than the image is not its own: it was left behind when the image was replaced.
func (x *examiner) checkOpenGnsys(f *folder, p *piece) error {
	base, old := strings.CutSuffix(p.name, backup)
	ending := ""
	if old {
		ending = backup
	}
	for _, suffix := range []string{".full.sum", ".sum"} {
		name := base + suffix + ending
		data, err := f.small(name)
		if err != nil {
			return err
		}
		m := sumOnly.FindSubmatch(data)
		switch {
		case data == nil:
			continue
		case m == nil:
			x.warnf("%s holds no sum and is not looked at", name)
			continue
		}
		s := &sum{"MD5", strings.ToLower(string(m[1])), name, func() hash.Hash { return md5.New() }}
		if suffix == ".sum" {
			tail, err := tailMD5(x, *p)
			if err != nil {
				return err
			}
			if tail == s.hex {
				continue
			}
		}
		if f.files[name].mod.Before(p.mod) {
			x.warnf("%s is older than %s and is not looked at: it is of what the image was before", name, p.name)
			continue
		}
		if p.sum == nil {
			p.sum = s
		} else if p.sum.hex != s.hex {
			return fmt.Errorf("%s and %s contradict each other: remove the one that is wrong, or both", p.sum.from, s.from)
		}
	}
	return nil
}

// tailMD5 is the MD5 of the last MiB of a file.
func tailMD5(x *examiner, p piece) (string, error) {
	file, err := p.open()
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := md5.New()
	from := max(0, p.size-tailLen)
	if _, err := io.Copy(h, io.NewSectionReader(file, from, p.size-from)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), x.ctx.Err()
}
