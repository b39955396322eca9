package instruction

import (
	"fmt"
	"strconv"
	"strings"
)

// Sizes are powers of 1024, as OpenGnsys counts: a bare number is of KB of 1024 bytes, and 10G is 10 x 1024 x 1024 of those. A disk that is sold as
// one of 500 GB has 465G.
var units = []struct {
	name  string
	bytes int64
}{{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"B", 1}}

// maxBytes is larger than any disk, and what a disk.Scheme takes: 1 EiB.
const maxBytes = 1 << 60

// sizeForm says what parseSize reads.
const sizeForm = "a size in KB such as 10000000, or with a unit such as 40G or 500M"

// parseSize reads a size of at least one byte.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGTBkmgtbi")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || digits[0] == '+' || digits[0] == '-' {
		if whole, part, ok := strings.Cut(digits, "."); ok && whole != "" && strings.Trim(part, "0123456789") == "" {
			return 0, fmt.Errorf("sizes are whole numbers: write 1536M for 1.5G")
		}
		return 0, fmt.Errorf("write a number of KB, or a number with K, M, G or T, powers of 1024")
	}
	unit, err := parseUnit(s[len(digits):])
	if err != nil {
		return 0, err
	}
	switch {
	case n == 0:
		return 0, fmt.Errorf("a size is more than 0")
	case n > maxBytes/unit:
		return 0, fmt.Errorf("no disk is as large as that")
	}
	return n * unit, nil
}

func parseUnit(s string) (int64, error) {
	if s == "" {
		return 1 << 10, nil
	}
	for _, u := range units {
		if strings.EqualFold(s, u.name) || u.bytes > 1 && strings.EqualFold(s, u.name+"iB") {
			return u.bytes, nil
		}
	}
	if len(s) == 2 && strings.EqualFold(s[1:], "B") {
		return 0, fmt.Errorf("units are powers of 1024: write %s for 1024-based, such as 40G", strings.ToUpper(s[:1]))
	}
	return 0, fmt.Errorf("units are K, M, G and T, powers of 1024")
}

// formatSize writes what parseSize reads, in the largest unit that is exact, and KB without one, as OpenGnsys has it.
func formatSize(bytes int64) string {
	for _, u := range units {
		if bytes%u.bytes != 0 || bytes < u.bytes {
			continue
		}
		if u.name == "K" {
			return strconv.FormatInt(bytes/u.bytes, 10)
		}
		return strconv.FormatInt(bytes/u.bytes, 10) + u.name
	}
	return strconv.FormatInt(bytes, 10) + "B"
}
