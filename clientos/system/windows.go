package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"aula/clientos/disk"
	"aula/clientos/system/hive"
)

// hivePaths are where Windows keeps the part of the registry that its name is in: Windows 7 and later, and XP.
var hivePaths = []string{"Windows/System32/config/SYSTEM", "WINDOWS/system32/config/system", "WINDOWS/system32/config/SYSTEM"}

// maxHive is the largest hive that is read, in bytes; that of a Windows 11 has about 20 MiB.
const maxHive = 256 << 20

// nameWindows gives the Windows that is in p the name, in the registry. The volume is not mounted: the hive is read from it, and written back into the
// same file.
func (j *job) nameWindows(ctx context.Context, p disk.Partition, host string) error {
	node, err := claimable(ctx, j.disk, p, true)
	if err != nil {
		return err
	}
	path, before, err := readHive(ctx, node)
	if err != nil {
		return err
	}
	name, err := netBIOS(host)
	if err != nil {
		return err
	}
	if !strings.EqualFold(name, host) {
		j.note("Windows takes names of at most %d characters: %s is called %s there", maxNetBIOS, host, name)
	}
	after, err := renameHive(before, name)
	if err != nil || after == nil {
		return err
	}
	return j.writeHive(ctx, node, path, after)
}

// readHive reads the hive from the volume; errNoSystem when it has none.
func readHive(ctx context.Context, node string) (path string, data []byte, err error) {
	for _, path := range hivePaths {
		data, err := tool(ctx, maxHive, "ntfscat", "--force", node, path)
		if err == nil {
			return path, data, nil
		}
		if t := new(trouble); !errors.As(err, &t) || !noSuchFile(t.detail) {
			return "", nil, volumeTrouble(err)
		}
	}
	return "", nil, errNoSystem
}

// noSuchFile knows ntfscat's words for a path that is not there.
func noSuchFile(words string) bool {
	return strings.Contains(words, "Couldn't find name") || strings.Contains(words, "Could not find name") ||
		strings.Contains(words, "No such file or directory")
}

// volumeTrouble says what the NTFS tools mean when they refuse a volume.
func volumeTrouble(err error) error {
	var t *trouble
	if errors.As(err, &t) && (strings.Contains(t.detail, "hibernat") || strings.Contains(t.detail, "unclean") || strings.Contains(t.detail, "shut down")) {
		return unclean(err, t.detail)
	}
	return err
}

func unclean(err error, detail string) error {
	return &trouble{
		problem: "Windows was not shut down cleanly when the image was captured, and nothing was changed in it",
		advice: "in the Windows that the image comes from, run \"powercfg /h off\" and \"shutdown /s /t 0\", capture the image again and restore it; " +
			"or change the name in Windows",
		detail: detail, cause: err,
	}
}

var controlSet = regexp.MustCompile(`(?i)^ControlSet([0-9]{3})$`)

// renameHive returns the hive with the name in all of its control sets, nil when they have it already.
func renameHive(data []byte, name string) ([]byte, error) {
	h, err := hive.Parse(data)
	switch {
	case errors.Is(err, hive.ErrDirty):
		return nil, unclean(err, "")
	case err != nil:
		return nil, &trouble{problem: "the registry of Windows cannot be read, and was left alone", cause: err,
			advice: "restore the image again; if it stays so, change the name in Windows"}
	}
	sets, err := controlSets(h)
	if err != nil {
		return nil, &trouble{problem: "the registry of Windows has no current control set, and was left alone", cause: err,
			advice: "capture the image of a Windows that starts"}
	}
	changed := false
	for i, set := range sets {
		did, err := renameControlSet(h, set, name)
		if err != nil && (i == 0 || !errors.Is(err, hive.ErrNotFound)) { // others than the current one may be fragments
			return nil, &trouble{problem: "the name is not where Windows keeps it in its registry, which was left alone", cause: err,
				advice: "change the name in Windows, or with a script"}
		}
		changed = changed || did
	}
	if !changed {
		return nil, nil
	}
	return h.Bytes(), nil
}

// controlSets returns the names of the control sets, of which the first is the one that Windows starts with.
func controlSets(h *hive.Hive) ([]string, error) {
	selected, err := h.Key("Select")
	if err != nil {
		return nil, err
	}
	v, err := selected.Value("Current")
	if err != nil {
		return nil, err
	}
	n, err := v.Uint32()
	if err != nil {
		return nil, err
	}
	sets := []string{fmt.Sprintf("ControlSet%03d", n)}
	root, err := h.Key()
	if err != nil {
		return nil, err
	}
	keys, err := root.Subkeys()
	for _, k := range keys {
		if controlSet.MatchString(k.Name()) && !strings.EqualFold(k.Name(), sets[0]) {
			sets = append(sets, k.Name())
		}
	}
	return sets, err
}

func renameControlSet(h *hive.Hive, set, name string) (changed bool, err error) {
	for _, place := range []struct {
		key    []string
		values []string
	}{
		{[]string{set, "Control", "ComputerName", "ComputerName"}, []string{"ComputerName"}},
		{[]string{set, "Services", "Tcpip", "Parameters"}, []string{"Hostname", "NV Hostname"}},
	} {
		k, err := h.Key(place.key...)
		if err != nil {
			return changed, err
		}
		for _, value := range place.values {
			v, err := k.Value(value)
			if err != nil && !errors.Is(err, hive.ErrNotFound) {
				return changed, err
			}
			if text, reading := v.Text(); err == nil && reading == nil && text == name {
				continue
			}
			if err := k.SetString(value, name); err != nil {
				return changed, err
			}
			changed = true
		}
	}
	return changed, nil
}

// writeHive writes the hive into its file on the volume, and reads it back.
func (j *job) writeHive(ctx context.Context, node, path string, data []byte) error {
	if err := os.MkdirAll(j.cfg.Folder, 0o700); err != nil {
		return fmt.Errorf("a folder for the registry: %w", err)
	}
	folder, err := os.MkdirTemp(j.cfg.Folder, "registry-")
	if err != nil {
		return fmt.Errorf("a folder for the registry: %w", err)
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "SYSTEM")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return fmt.Errorf("a copy of the registry: %w", err)
	}
	// From here on the hive is written to its end, also when the operation is cancelled.
	ctx = context.WithoutCancel(ctx)
	if _, err := tool(ctx, maxDetail, "ntfscp", "--quiet", node, file, path); err != nil {
		// The mark that Windows is to check the volume, which ntfsresize leaves, is no obstacle: the journal is found empty before it is looked at.
		var t *trouble
		if !errors.As(err, &t) || !strings.Contains(t.detail, "scheduled for") {
			return volumeTrouble(err)
		}
		if _, err := tool(ctx, maxDetail, "ntfscp", "--quiet", "--force", node, file, path); err != nil {
			return volumeTrouble(err)
		}
	}
	back, err := tool(ctx, maxHive, "ntfscat", "--force", node, path)
	if err == nil && !bytes.Equal(back, data) {
		err = errors.New("it reads back different")
	}
	if err != nil {
		return &trouble{problem: "the registry of Windows was not written as it should be", cause: err, advice: "restore the image again: this Windows may not start"}
	}
	return nil
}
