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
	"sync"
	"text/template"
	"unicode/utf8"
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

	Exit        bool   // its own disk is left to the firmware: quirk exit-to-disk
	CommandLine string // of the kernel
	Overlay     bool   // there is a second initrd
	Problem     string // why there is nothing to boot
}

// URL is where the PC's files are.
func (p PC) URL() string { return fmt.Sprintf("http://%s/boot/%s", p.Server, p.MAC) }

// Tries is how often a PC asks.
func (p PC) Tries() int { return Tries }

// Firmware is what the PC says it boots with when it asks again.
func (p PC) Firmware() string {
	if p.UEFI {
		return "uefi"
	}
	return "bios"
}

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
	refuse text = "refuse" // say the problem, then boot the PC's own disk
	menu   text = "menu"   // let somebody choose
	start  text = "start"  // GRUB only: ask for the script
	auto   text = "auto"   // iPXE only: ask for the script
)

// ClientOS boots the kernel and the initramfs.
func ClientOS(l Loader, p PC) (string, error) { return render(client, l, p) }

// Disk boots the PC's own disk.
func Disk(l Loader, p PC) (string, error) { return render(disk, l, p) }

// Wait tells the PC's problem and asks again.
func Wait(l Loader, p PC) (string, error) { return render(wait, l, p) }

// Refuse tells the PC why it cannot be served, and boots its own disk.
func Refuse(l Loader, p PC) (string, error) { return render(refuse, l, p) }

// Start is the first configuration of GRUB, the same for all PCs: it asks for the PC's own.
func Start(server string) (string, error) { return render(start, GRUB, PC{Server: server}) }

// Autoexec is what iPXE for UEFI runs first, the same for all PCs: it finds the NIC that has a network, and asks for the PC's own script.
func Autoexec(server string) (string, error) { return render(auto, IPXE, PC{Server: server}) }

// templates are read once: a room that starts asks for all of its scripts at once.
var templates = sync.OnceValues(func() (*template.Template, error) { return template.ParseFS(files, "*.tmpl") })

func render(t text, l Loader, data any) (string, error) {
	all, err := templates()
	if err != nil {
		return "", fmt.Errorf("boot scripts: %w", err)
	}
	var b strings.Builder
	if err := all.ExecuteTemplate(&b, fmt.Sprintf("%s.%s.tmpl", t, l), data); err != nil {
		return "", fmt.Errorf("boot script: %w", err)
	}
	return b.String(), nil
}

// Plain says whether text means itself in every loader's language and on a kernel's command line: it has letters, digits, spaces and
// ,._:=/@+%- only.
func Plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) })
}

// Sanitize makes a text that only people read harmless in every loader's language: it leaves what is Plain and '() and writes the letters of
// Spanish and its neighbours without their marks, for firmware has no others. A semicolon becomes a comma: alone between blanks it ends a command of iPXE.
func Sanitize(text string) string {
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune(marked, r); i >= 0 {
			return rune(unmarked[utf8.RuneCountInString(marked[:i])])
		}
		if plain(r) || strings.ContainsRune("'()", r) {
			return r
		}
		return ' '
	}, text)
}

// Letters, and what stands for them.
const (
	marked   = "áàâäãéèêëíìîïóòôöõúùûüñçÁÀÂÄÃÉÈÊËÍÌÎÏÓÒÔÖÕÚÙÛÜÑÇºª·;"
	unmarked = "aaaaaeeeeiiiiooooouuuuncAAAAAEEEEIIIIOOOOOUUUUNCoa-,"
)

func plain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(" ,._:=/@+%-", r)
}
