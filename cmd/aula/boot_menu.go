package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"aula/webui/api"
)

// bootMenuCommand is `aula boot menu`.
type bootMenuCommand struct {
	remote
	jsonFlag
	Timeout    *int `help:"Seconds after which the computer boots its own disk; -1 waits for ever." placeholder:"SECONDS"`
	Password   bool `help:"Set the password of the entries for technicians: it is asked for, or read from standard input." xor:"password"`
	NoPassword bool `help:"The entries need no password any more." xor:"password" name:"no-password"`
}

// Run tells of the menu, or changes it.
func (c *bootMenuCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	edit := api.BootSettingsEdit{MenuSeconds: c.Timeout}
	if c.Timeout != nil && *c.Timeout == 0 {
		return exitError{errors.New("--timeout 0 would leave no time to choose: give 1 to 3600 seconds, or -1 to wait for ever"), exitNoFile}
	}
	if c.NoPassword {
		edit.MenuPassword = new(string)
	}
	if c.Password {
		typed, err := readPassword()
		if err != nil {
			return err
		}
		edit.MenuPassword = &typed
	}
	var now api.BootSettings
	if edit == (api.BootSettingsEdit{}) {
		now, err = server.BootSettings(ctx)
	} else {
		now, err = server.ChangeBootSettings(ctx, edit)
	}
	if err != nil {
		return c.explain(err)
	}
	waits, locked := fmt.Sprintf("boots the own disk after %s", counted(now.MenuSeconds, "second")), "need no password"
	if now.MenuSeconds < 0 {
		waits = "waits for ever"
	}
	if now.MenuPassword {
		locked = "need the password"
	}
	return c.tell(now, "the menu %s; its entries for technicians %s", waits, locked)
}

// readPassword reads a line, from a terminal after asking for it. What is on the command line is seen by every user of the machine.
func readPassword() (string, error) {
	if isTerminal(os.Stdin) {
		fmt.Fprint(os.Stderr, "Password of the menu: ")
		defer fmt.Fprintln(os.Stderr)
		defer hideTyping(int(os.Stdin.Fd()))()
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", exitError{errors.New("no password was given; --no-password takes it away"), exitNoFile}
	}
	return line, nil
}

// hideTyping keeps a terminal from showing what is typed, until the returned function is called.
func hideTyping(terminal int) (show func()) {
	before, err := unix.IoctlGetTermios(terminal, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	_ = unix.IoctlSetTermios(terminal, unix.TCSETS, &hidden)
	return func() { _ = unix.IoctlSetTermios(terminal, unix.TCSETS, before) }
}
