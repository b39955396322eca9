package build

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// keyring holds the keys that Debian signs its releases with. It is part of every Debian installation.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Mirrors are the base addresses of a Debian archive.
type Mirrors struct {
	Main     string // of the releases and their updates
	Security string // of the security updates; may be empty
}

// MachineMirrors are the mirrors that this machine's own apt uses. They serve every release, so a machine with another
// Debian than the client OS will do.
func MachineMirrors(ctx context.Context) (Mirrors, error) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return Mirrors{}, fmt.Errorf("which Debian is this machine: %w", err)
	}
	// Without the release info it lists the sources also before the first apt-get update.
	targets, err := output(exec.CommandContext(ctx, "apt-get", "indextargets", "--no-release-info",
		"--format", "$(SITE) $(RELEASE)", "Created-By: Packages"))
	if err != nil {
		return Mirrors{}, err
	}
	return findMirrors(targets, codename(string(release)))
}

// codename is the name of a Debian release, such as bookworm, from the text of its os-release file.
func codename(osRelease string) string {
	for line := range strings.Lines(osRelease) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// findMirrors picks the mirrors from lines of SITE and RELEASE, given the machine's own release.
func findMirrors(targets, codename string) (Mirrors, error) {
	var m Mirrors
	for line := range strings.Lines(targets) {
		site, release, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch release {
		case codename, "stable", "oldstable", "testing", "unstable", "sid":
			if m.Main == "" {
				m.Main = site
			}
		case codename + "-security", "stable-security", "oldstable-security", "testing-security":
			if m.Security == "" {
				m.Security = site
			}
		}
	}
	if m.Main == "" {
		return Mirrors{}, errors.New("apt on this machine has no source of Debian packages: add one to /etc/apt/sources.list.d, " +
			"or give its base address with -mirror")
	}
	return m, nil
}

// A Package is one Debian package that the client OS or the boot loaders have a part of.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the .deb file, hexadecimal
	File    string `json:"file"`   // name of the .deb file
}

// An archive is a private apt: its own sources, lists and downloads, an empty dpkg status, and none of the machine's
// preferences. The machine's apt.conf.d stays in force, because it holds its proxy and credentials.
type archive struct {
	dir     string // absolute
	mirrors Mirrors
}

func (a *archive) debs() string { return filepath.Join(a.dir, "debs") }

// setUp writes the private configuration.
func (a *archive) setUp(r recipe) error {
	if _, err := os.Stat(keyring); err != nil {
		return fmt.Errorf("the keys to check Debian packages with: %w (package debian-archive-keyring)", err)
	}
	for _, dir := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(a.dir, "status"), nil, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.dir, "sources.list"), []byte(a.sources(r)), 0o644)
}

func (a *archive) sources(r recipe) string {
	var b strings.Builder
	source := func(site, suite string) {
		fmt.Fprintf(&b, "deb [arch=amd64 signed-by=%s] %s %s %s\n", keyring, site, suite, strings.Join(r.components, " "))
	}
	source(a.mirrors.Main, r.suite)
	source(a.mirrors.Main, r.suite+"-updates")
	if a.mirrors.Security != "" {
		source(a.mirrors.Security, r.suite+"-security")
	}
	return b.String()
}

// apt prepares a command of the private apt.
func (a *archive) apt(ctx context.Context, args ...string) *exec.Cmd {
	options := []string{
		"Dir::Etc::sourcelist=" + filepath.Join(a.dir, "sources.list"),
		"Dir::Etc::sourceparts=-",
		"Dir::Etc::preferences=/dev/null",
		"Dir::Etc::preferencesparts=/dev/null",
		"Dir::State=" + a.dir,
		"Dir::State::status=" + filepath.Join(a.dir, "status"),
		"Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"APT::Architecture=amd64",
		"APT::Architectures=amd64",
		"APT::Install-Recommends=false",
		"APT::Sandbox::User=root", // the tree need not be readable by apt's own user
		"Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"Acquire::Retries=5",
		"quiet=1",
	}
	all := make([]string, 0, 2*len(options)+len(args))
	for _, o := range options {
		all = append(all, "-o", o)
	}
	cmd := exec.CommandContext(ctx, "apt-get", append(all, args...)...)
	// apt-get download works in the folder where it is. It does not print where a package is that it finds there, so
	// that only download itself is run where the packages are.
	cmd.Dir = a.dir
	return cmd
}

// resolve fetches the package lists and decides which version of which packages to take.
func (a *archive) resolve(ctx context.Context, r recipe) ([]Package, error) {
	if _, err := output(a.apt(ctx, "update", "--error-on=any")); err != nil {
		return nil, fmt.Errorf("fetch the package lists of %s: %w", r.suite, err)
	}
	plan, err := output(a.apt(ctx, append([]string{"install", "--simulate"}, r.packages()...)...))
	if err != nil {
		return nil, fmt.Errorf("resolve dependencies in %s: %w", r.suite, err)
	}
	var wanted []string
	for _, p := range parsePlan(plan) {
		if r.wants(p.Name) {
			wanted = append(wanted, p.Name+"="+p.Version)
		}
	}
	uris, err := output(a.apt(ctx, append([]string{"download", "--print-uris"}, wanted...)...))
	if err != nil {
		return nil, fmt.Errorf("find packages in %s: %w", r.suite, err)
	}
	packages, err := parseURIs(uris)
	if err != nil {
		return nil, err
	}
	if len(packages) != len(wanted) {
		return nil, fmt.Errorf("apt knows where %d of %d packages are", len(packages), len(wanted))
	}
	return packages, nil
}

// parsePlan reads what apt-get install --simulate would do: lines such as "Inst kmod (34.2-2 Debian:13.1/stable [amd64])".
func parsePlan(plan string) []Package {
	var packages []Package
	for line := range strings.Lines(plan) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "Inst" {
			continue
		}
		packages = append(packages, Package{Name: fields[1], Version: strings.TrimPrefix(fields[2], "(")})
	}
	return packages
}

// parseURIs reads lines of apt-get download --print-uris, such as "'ADDRESS' kmod_34.2-2_amd64.deb 105292 SHA256:...", and
// returns the packages sorted by name. The digest is the signed one of the package lists.
func parseURIs(uris string) ([]Package, error) {
	var packages []Package
	for line := range strings.Lines(uris) {
		fields := strings.Fields(line)
		if len(fields) != 4 || !strings.HasPrefix(fields[0], "'") {
			continue
		}
		file, digest := fields[1], fields[3]
		parts := strings.Split(strings.TrimSuffix(file, ".deb"), "_")
		sum, isSHA256 := strings.CutPrefix(digest, "SHA256:")
		if len(parts) != 3 || !isSHA256 || filepath.Base(file) != file {
			return nil, fmt.Errorf("apt names the package %q with digest %q, which is not understood", file, digest)
		}
		version := strings.ReplaceAll(parts[1], "%3a", ":") // the epoch
		packages = append(packages, Package{Name: parts[0], Version: version, SHA256: sum, File: file})
	}
	slices.SortFunc(packages, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return packages, nil
}

// download brings the packages that are not here yet, checks every one, and removes those of earlier builds.
func (a *archive) download(ctx context.Context, packages []Package) error {
	keep := make(map[string]bool)
	var missing []string
	for _, p := range packages {
		keep[p.File] = true
		if a.check(p) != nil {
			missing = append(missing, p.Name+"="+p.Version)
		}
	}
	if len(missing) > 0 {
		fetch := a.apt(ctx, append([]string{"download"}, missing...)...)
		fetch.Dir = a.debs()
		if _, err := output(fetch); err != nil {
			return fmt.Errorf("download packages: %w", err)
		}
	}
	for _, p := range packages {
		if err := a.check(p); err != nil {
			return err
		}
	}
	return removeOthers(a.debs(), keep)
}

// have tells whether all packages are downloaded. It trusts the digests that download checked.
func (a *archive) have(packages []Package) bool {
	for _, p := range packages {
		if _, err := os.Stat(filepath.Join(a.debs(), p.File)); err != nil {
			return false
		}
	}
	return len(packages) > 0
}

// check compares a downloaded package with the digest of the signed package lists.
func (a *archive) check(p Package) error {
	sum, err := fileSHA256(filepath.Join(a.debs(), p.File))
	if err != nil {
		return fmt.Errorf("package %s: %w", p.Name, err)
	}
	if sum != p.SHA256 {
		return fmt.Errorf("package %s: %s has SHA-256 %s, Debian says %s", p.Name, p.File, sum, p.SHA256)
	}
	return nil
}

// removeOthers deletes the files of a folder that are not to be kept.
func removeOthers(dir string, keep map[string]bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if keep[e.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// output runs a command and returns what it prints; its error ends with the last lines of what it complained of.
func output(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	// Messages are read by parsers here.
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w%s", filepath.Base(cmd.Path), err, lastLines(stderr.String(), 5))
	}
	return string(out), nil
}

func lastLines(text string, n int) string {
	var lines []string
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if strings.TrimSpace(s.Text()) != "" {
			lines = append(lines, "\n  "+s.Text())
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
