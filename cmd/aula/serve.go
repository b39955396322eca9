package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"aula/appliance"
	"aula/clientos/disk"
	"aula/netboot"
)

// configFlags tell how an appliance is configured.
type configFlags struct {
	Config    string `help:"Configuration file (TOML); every setting has a default." placeholder:"FILE"`
	Interface string `help:"Network interface that faces the classroom; the only one with an address when left out." placeholder:"IF"`
	Data      string `help:"Folder of everything the appliance keeps (${default_data} unless set)." placeholder:"DIR"`
}

// config is the file's, or the defaults, with what the command line says otherwise.
func (c configFlags) config() (appliance.Config, error) {
	cfg := appliance.Defaults()
	if c.Config != "" {
		var err error
		if cfg, err = appliance.LoadConfig(c.Config); err != nil {
			return cfg, err
		}
	}
	if c.Interface != "" {
		cfg.Interface = c.Interface
	}
	if c.Data != "" {
		cfg.Data = c.Data
	}
	return cfg, nil
}

// serveCommand is `aula serve`.
type serveCommand struct {
	configFlags
	DHCP    string `name:"dhcp" help:"auto: lease addresses when no other server does and you agree; full: lease them; proxy: do not." enum:",auto,full,proxy" default:"" placeholder:"MODE"`
	Verbose bool   `help:"Log every packet's decision." short:"v"`
}

// Run runs the appliance until it is interrupted.
func (c *serveCommand) Run(ctx context.Context) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	if c.DHCP != "" {
		cfg.DHCP.Mode = netboot.Mode(c.DHCP)
	}
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	return appliance.Run(ctx, cfg, appliance.Options{
		Version: version,
		Log:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		Ready:   func(s appliance.Status) { printStatus(os.Stdout, s) },
	})
}

// addressing tells who leases addresses, and what there is to do about it.
var addressing = map[netboot.Mode]string{
	netboot.ModeAuto:  "Aula looks for another DHCP server now. When there is none, the console asks whether\n               Aula may lease addresses (or: aula dhcp allow); until then PCs get none from it",
	netboot.ModeFull:  "leased by Aula, whether or not there is another DHCP server",
	netboot.ModeProxy: "left to the other DHCP server; Aula tells PCs what to boot",
}

// printStatus greets whoever started the appliance with what to do next.
func printStatus(w io.Writer, s appliance.Status) {
	fmt.Fprintf(w, "\nAula %s serves the classroom on %s (%s).\n\n", version, s.Interface, s.Address)
	fmt.Fprintf(w, "  console      %s\n", s.Console)
	fmt.Fprintf(w, "               the browser warns of its certificate once; its SHA-256 is\n               %s\n", s.Fingerprint)
	if s.SetupCode != "" {
		fmt.Fprintf(w, "  set-up code  %s   (type it at the first visit, then choose a password)\n", s.SetupCode)
	}
	fmt.Fprintf(w, "  images       %s (%s free)\n", s.Images, disk.FormatSize(s.Free))
	fmt.Fprintf(w, "  addresses    %s\n\n", addressing[s.Mode])
	if s.ClientOS != nil {
		fmt.Fprintf(w, "PCs cannot boot: %v\n\n", s.ClientOS)
		return
	}
	fmt.Fprint(w, "Now switch a PC on with network boot: it appears in the console as pending.\n\n")
}
