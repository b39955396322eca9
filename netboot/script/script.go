// Package script writes what the boot loaders execute: iPXE scripts, and configurations for GRUB.
//
// The texts are the templates beside this file. Each says on the screen, in plain words, what the PC does and what it waits for;
// none ends in a prompt. A PC that cannot reach the server or its files asks again a few times and then boots its own disk, so that a broken
// server stops no lesson.
package script

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
	"time"
)

//go:embed *.tmpl
var files embed.FS

// Tries is how often a PC asks for a script before it boots its own disk.
const Tries = 5

// A PC is what goes into its script. Problem must come from Sanitize; all other strings must be Plain.
type PC struct {
	Server string // HOST, or HOST:PORT when the port is not 80
	MAC    string // lower case with colons
	UEFI   bool
	Try    int // how often this PC has asked in vain, from 0

	CommandLine string // of the kernel
	Overlay     bool   // there is a second initrd
	Problem     string // why there is nothing to boot yet
}

// URL is where the PC's files are.
func (p PC) URL() string { return fmt.Sprintf("http://%s/boot/%s", p.Server, p.MAC) }

// Tries is how often a PC asks.
func (p PC) Tries() int { return Tries }

// Next is the number of the next try.
func (p PC) Next() int { return p.Try + 1 }

// Numbers are those of all tries, the last of which boots the disk.
func (p PC) Numbers() []int {
	var all []int
	for n := range Tries + 1 {
		all = append(all, n)
	}
	return all
}

// GRUBDevice names the server as GRUB wants it: (http,10.0.0.1) or (http,10.0.0.1:8080).
func (p PC) GRUBDevice() string { return fmt.Sprintf("(http,%s)", p.Server) }

// A Menu is what somebody at the PC may choose from. Its texts must come from Sanitize.
type Menu struct {
	Title   string
	Timeout time.Duration // after which the first entry is taken; 0 waits for ever
	Entries []Entry       // at least one
	// PasswordHash must be met for admin entries, in GRUB's form (grub.pbkdf2.sha512.ITERATIONS.SALT.HASH); empty: they need none.
	PasswordHash string
}

// An Entry is a line of a Menu.
type Entry struct {
	ID    string // letters, digits and hyphens; EntryDisk, or what the loader sends to the server when it is chosen
	Label string
	Admin bool // asks for the password
}

// EntryDisk boots the PC's own disk and is carried out by the loader itself. On UEFI the loader adds an entry for each system that it finds on the
// disks.
const EntryDisk = "disk"

// A Loader is a language that scripts are in.
type Loader string

// Loaders.
const (
	IPXE Loader = "ipxe"
	GRUB Loader = "grub"
)

// Script texts.
type text string

const (
	client text = "client" // load kernel and initramfs
	disk   text = "disk"   // boot the PC's own disk
	wait   text = "wait"   // say the problem, then ask again
	start  text = "start"  // GRUB only: ask for the script
	auto   text = "auto"   // iPXE only: ask for the script
)

// ClientOS boots the kernel and the initramfs.
func ClientOS(l Loader, p PC) (string, error) { return render(client, l, p) }

// Disk boots the PC's own disk.
func Disk(l Loader, p PC) (string, error) { return render(disk, l, p) }

// Wait tells the PC's problem and asks again.
func Wait(l Loader, p PC) (string, error) { return render(wait, l, p) }

// Start is the first configuration of GRUB, the same for all PCs: it asks for the PC's own.
func Start(server string) (string, error) { return render(start, GRUB, PC{Server: server}) }

// Autoexec is what iPXE for UEFI runs first, the same for all PCs: it finds the NIC that has a network, and asks for the PC's own script.
func Autoexec(server string) (string, error) { return render(auto, IPXE, PC{Server: server}) }

func render(t text, l Loader, p PC) (string, error) {
	all, err := template.ParseFS(files, "*.tmpl")
	if err != nil {
		return "", fmt.Errorf("boot scripts: %w", err)
	}
	var b strings.Builder
	if err := all.ExecuteTemplate(&b, fmt.Sprintf("%s.%s.tmpl", t, l), p); err != nil {
		return "", fmt.Errorf("boot script: %w", err)
	}
	return b.String(), nil
}

// Plain says whether text means itself in every loader's language and on a kernel's command line: it has letters, digits, spaces and
// ,._:=/@+%- only.
func Plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) })
}

// Sanitize makes a text that only people read harmless in every loader's language: it leaves what is Plain and '();.
func Sanitize(text string) string {
	return strings.Map(func(r rune) rune {
		if plain(r) || strings.ContainsRune("'();", r) {
			return r
		}
		return ' '
	}, text)
}

func plain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(" ,._:=/@+%-", r)
}
