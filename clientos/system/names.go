package system

import (
	"fmt"
	"strings"
)

const (
	maxHostname = 63 // of a label of DNS (RFC 1035, 2.3.4)
	maxNetBIOS  = 15 // of a NetBIOS name, whose 16th byte says what it is for (RFC 1001, 14.1)
)

// hostname makes a name that hosts may have (RFC 1123, 2.1: letters, digits, hyphens inside) of the name of a computer in the catalog: what is after a dot
// is left out, and what may not be in a name becomes a hyphen.
func hostname(computer string) (string, error) {
	first, _, _ := strings.Cut(computer, ".")
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, first)
	name = strings.Trim(name[:min(len(name), maxHostname)], "-")
	if name == "" {
		return "", &trouble{problem: fmt.Sprintf("%q has no letter or digit that the name of a computer may have", computer),
			advice: "give the computer a name of letters A to Z, digits and hyphens, and start the configuration alone"}
	}
	return name, nil
}

// netBIOS makes Windows' name of a hostname: capitals, at most 15. A longer name keeps the digits at its end, by which the computers of a classroom differ.
func netBIOS(host string) (string, error) {
	name := strings.ToUpper(host)
	if strings.Trim(name, "0123456789") == "" {
		return "", &trouble{problem: fmt.Sprintf("Windows takes no name of digits alone, such as %q", host),
			advice: "give the computer a name with a letter and start the configuration alone"}
	}
	if len(name) <= maxNetBIOS {
		return name, nil
	}
	stem := strings.TrimRight(name, "0123456789")
	digits := name[len(stem):]
	if len(digits) >= maxNetBIOS {
		digits = digits[len(digits)-maxNetBIOS+1:]
	}
	return strings.Trim(stem[:min(len(stem), maxNetBIOS-len(digits))]+digits, "-"), nil
}

// renameHosts replaces the old name of a Linux in the lines of /etc/hosts for 127.0.1.1, the address that Debian and its kin give to the host's own name, also where a
// domain follows it. Everything else stays as it is, byte for byte.
func renameHosts(hosts, old, name string) string {
	old, _, _ = strings.Cut(old, ".")
	if old == "" {
		return hosts
	}
	lines := strings.SplitAfter(hosts, "\n")
	for i, line := range lines {
		names, comment, commented := strings.Cut(line, "#")
		if fields := strings.Fields(names); len(fields) < 2 || fields[0] != "127.0.1.1" {
			continue
		}
		lines[i] = renameWords(names, old, name)
		if commented {
			lines[i] += "#" + comment
		}
	}
	return strings.Join(lines, "")
}

// renameWords replaces the words old and old.DOMAIN, whatever is between the words.
func renameWords(text, old, name string) string {
	var b strings.Builder
	for text != "" {
		end := strings.IndexAny(text, " \t\r\n")
		if end < 0 {
			end = len(text)
		}
		word := text[:end]
		if host, domain, dotted := strings.Cut(word, "."); strings.EqualFold(host, old) {
			word = name
			if dotted {
				word += "." + domain
			}
		}
		b.WriteString(word)
		if end < len(text) {
			b.WriteByte(text[end])
			end++
		}
		text = text[end:]
	}
	return b.String()
}
