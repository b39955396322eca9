// Command aula-clientos makes the client OS and gathers the boot loaders that aula embeds. The Makefile runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"aula/clientos/build"
)

func main() {
	var cfg build.Config
	flag.StringVar(&cfg.Cache, "cache", ".cache/clientos", "folder for downloads and intermediate results")
	flag.StringVar(&cfg.Agent, "agent", "bin/aula-agent", "the agent's static binary, which becomes /init")
	flag.StringVar(&cfg.Image, "image", "clientos/image", "folder for the kernel and the initramfs")
	flag.StringVar(&cfg.Loaders, "loaders", "netboot/loader/files", "folder for the boot loaders")
	flag.StringVar(&cfg.Mirrors.Main, "mirror", "", "base address of a Debian archive (default: this machine's own)")
	flag.StringVar(&cfg.Mirrors.Security, "security-mirror", "", "base address of Debian's security archive (default: this machine's own)")
	flag.BoolVar(&cfg.Update, "update", false, "take newer packages when the mirror has them")
	flag.Parse()
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: plain}))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := build.Run(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "aula-clientos:", err)
		os.Exit(1)
	}
}

// plain leaves the time and the level out of the lines, which stand between those of make.
func plain(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey && a.Value.Any() == slog.LevelInfo) {
		return slog.Attr{}
	}
	return a
}
