package incorporation

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"strings"
)

// A sum is what another system has noted of a file's content.
type sum struct {
	kind string // "MD5", "SHA-1", "SHA-256"
	hex  string // small letters
	from string // the file that says so
	new  func() hash.Hash
}

// check compares what was read of p.
func (s *sum) check(p piece, h hash.Hash) error {
	if got := hex.EncodeToString(h.Sum(nil)); got != s.hex {
		return fmt.Errorf("%s is damaged: its %s is %s, and %s says %s: copy the file again, or remove %s if you know that the file is right",
			p.path(), s.kind, got, s.from, s.hex, s.from)
	}
	return nil
}

// sumFiles are the lists of sums that Clonezilla makes on demand.
var sumFiles = []struct {
	name, kind string
	new        func() hash.Hash
}{
	{"MD5SUMS", "MD5", md5.New},
	{"SHA1SUMS", "SHA-1", sha1.New},
	{"SHA256SUMS", "SHA-256", sha256.New},
}

var sumLine = regexp.MustCompile(`^([0-9A-Fa-f]{32,64}) [ *](?:\./)?(\S.*)$`)

// parseSums reads the output of md5sum and its like: a sum, two characters, a name.
func parseSums(data []byte, digits int) (map[string]string, error) {
	sums := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r ")
		if line == "" || line[0] == '#' {
			continue
		}
		m := sumLine.FindStringSubmatch(line)
		if m == nil || len(m[1]) != digits {
			return nil, fmt.Errorf("line %d is no sum and name: %.80q", n, line)
		}
		sums[m[2]] = strings.ToLower(m[1])
	}
	return sums, lines.Err()
}

// readSums gives each file the sum that a list in the folder says; a list that names a file which is not there is an error.
func (f *folder) readSums() error {
	for _, list := range sumFiles {
		data, err := f.small(list.name)
		if err != nil {
			return err
		}
		if data == nil {
			continue
		}
		sums, err := parseSums(data, list.new().Size()*2)
		if err != nil {
			return fmt.Errorf("%s: %w: remove it if you know that the files are right", f.files[list.name].path(), err)
		}
		for name, digits := range sums {
			p, ok := f.files[name]
			if !ok {
				if strings.ContainsRune(name, '/') {
					continue // of another directory
				}
				return fmt.Errorf("%s is missing from %s: %s lists it", name, f.dir, list.name)
			}
			p.sum = &sum{list.kind, digits, list.name, list.new}
			f.files[name] = p
		}
		return nil
	}
	return nil
}
