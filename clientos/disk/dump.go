package disk

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxDump bounds the dumps that are read: 128 GPT entries with long names are some 30 KiB.
const maxDump = 256 << 10

// parseTable reads the text of `sfdisk --dump`.
func parseTable(dump string) (table, error) {
	var t table
	if len(dump) > maxDump {
		return t, fmt.Errorf("partition table dump of %d bytes: at most %d are read", len(dump), maxDump)
	}
	lines := bufio.NewScanner(strings.NewReader(dump))
	lines.Buffer(nil, maxDump+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := t.parseLine(line); err != nil {
			return table{}, fmt.Errorf("partition table dump, line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return table{}, fmt.Errorf("partition table dump: %w", err)
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return a.number - b.number })
	if err := t.check(); err != nil {
		return table{}, fmt.Errorf("partition table dump: %w", err)
	}
	return t, nil
}

func (t *table) parseLine(line string) error {
	// "/dev/sda1 : start= ..." is a partition; a path may hold colons, but not between spaces.
	if device, fields, ok := strings.Cut(line, " : "); ok {
		e, err := parseEntry(device, fields)
		if err == nil && e.sectors > 0 { // old versions list unused slots with size=0
			t.entries = append(t.entries, e)
		}
		return err
	}
	key, value, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("neither a header nor a partition: %q", line)
	}
	value = strings.TrimSpace(value)
	var err error
	switch key {
	case "label":
		t.label = value
	case "label-id":
		t.id = value
	case "unit":
		if value != "sectors" {
			err = fmt.Errorf("unit %q: only sectors are understood", value)
		}
	case "sector-size":
		t.sectorSize, err = strconv.Atoi(value)
	case "first-lba":
		t.firstLBA, err = strconv.ParseInt(value, 10, 64)
	case "table-length":
		t.length, err = strconv.Atoi(value)
	}
	// device, last-lba and grain belong to the disk that the dump was taken from, not to the layout.
	return err
}

func parseEntry(device, fields string) (entry, error) {
	var e entry
	digits := len(device) - len(strings.TrimRight(device, "0123456789"))
	number, err := strconv.Atoi(device[len(device)-digits:])
	if err != nil {
		return e, fmt.Errorf("%q does not end in a partition number", device)
	}
	e.number = number
	for fields = strings.TrimSpace(fields); fields != ""; {
		var key, value string
		if key, value, fields, err = nextField(fields); err != nil {
			return e, err
		}
		switch strings.ToLower(key) {
		case "start":
			e.start, err = strconv.ParseInt(value, 10, 64)
		case "size":
			e.sectors, err = strconv.ParseInt(value, 10, 64)
		case "type", "id":
			e.typ = strings.ToUpper(value)
			if len(e.typ) == 1 {
				e.typ = "0" + e.typ
			}
		case "uuid":
			e.uuid = strings.ToUpper(value)
		case "name":
			e.name = value
		case "attrs":
			e.attrs = value
		case "bootable":
			e.bootable = true
		}
		if err != nil {
			return e, fmt.Errorf("partition %d: %s: %w", number, key, err)
		}
	}
	return e, nil
}

// nextField cuts `key=value`, `key="quoted value"` or `key` off the head of a comma-separated list.
func nextField(s string) (key, value, rest string, err error) {
	stop := strings.IndexAny(s, "=,")
	if stop < 0 {
		return strings.TrimSpace(s), "", "", nil
	}
	key = strings.TrimSpace(s[:stop])
	if s[stop] == ',' {
		return key, "", strings.TrimSpace(s[stop+1:]), nil
	}
	s = strings.TrimLeft(s[stop+1:], " \t")
	if strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s[1:], '"')
		if end < 0 {
			return "", "", "", fmt.Errorf("%s: quote without an end", key)
		}
		value, rest = unmangle(s[1:1+end]), s[end+2:]
		_, rest, _ = strings.Cut(rest, ",")
		return key, value, strings.TrimSpace(rest), nil
	}
	value, rest, _ = strings.Cut(s, ",")
	return key, strings.TrimSpace(value), strings.TrimSpace(rest), nil
}

// unmangle undoes the \xNN by which sfdisk writes quotes and other awkward bytes inside quotes.
func unmangle(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if v, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mangle writes every byte that is not a plain letter, digit, space or one of -_. as \xNN.
func mangle(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(" -_.", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// script returns the input by which sfdisk makes t, on a disk of whatever size: last-lba is left to sfdisk, and every
// identifier by which boot loaders and /etc/fstab know disk and partitions is kept.
func (t *table) script() string {
	var b strings.Builder
	fmt.Fprintf(&b, "label: %s\nlabel-id: %s\nunit: sectors\n", t.label, t.id)
	if t.firstLBA > 0 {
		fmt.Fprintf(&b, "first-lba: %d\n", t.firstLBA)
	}
	if t.length > 0 {
		fmt.Fprintf(&b, "table-length: %d\n", t.length)
	}
	b.WriteByte('\n')
	for _, e := range t.entries {
		fmt.Fprintf(&b, "%d : start=%d, size=%d, type=%s", e.number, e.start, e.sectors, e.typ)
		if e.uuid != "" {
			fmt.Fprintf(&b, ", uuid=%s", e.uuid)
		}
		if e.name != "" {
			fmt.Fprintf(&b, `, name="%s"`, mangle(e.name))
		}
		if e.attrs != "" {
			fmt.Fprintf(&b, `, attrs="%s"`, e.attrs)
		}
		if e.bootable {
			b.WriteString(", bootable")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
