package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"aula/webui/api"
	"aula/webui/client"
)

// bootCommand is `aula boot`.
type bootCommand struct {
	Show    bootShowCommand    `cmd:"" default:"withargs" help:"Tell what computers boot and how their last boots went; of one, step by step."`
	Watch   bootWatchCommand   `cmd:"" help:"Tell each step of each boot as it comes, until interrupted."`
	Set     bootSetCommand     `cmd:"" help:"Choose what computers boot that have no work: client, disk, menu or inherit."`
	Menu    bootMenuCommand    `cmd:"" help:"Tell how long the menu at the computers waits, change it, and set its password."`
	Forgive bootForgiveCommand `cmd:"" help:"Let a computer boot the client OS again that booted over and over."`
}

// targetWords are what computers boot, in words.
var targetWords = map[string]string{"client": "client OS", "disk": "own disk", "menu": "menu", "none": "nothing"}

func inWords(target string) string { return cmp.Or(targetWords[target], target) }

// bootShowCommand is `aula boot` and `aula boot show`.
type bootShowCommand struct {
	remote
	jsonFlag
	Computer string `arg:"" optional:"" help:"Name or MAC address of one, whose boots are told step by step."`
}

// Run lists the last boots, or tells of those of one computer.
func (c *bootShowCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	if c.Computer != "" {
		return c.one(ctx, server)
	}
	all, err := server.Boots(ctx)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(all)
	}
	settings, err := server.BootSettings(ctx)
	if err != nil {
		return c.explain(err)
	}
	fmt.Printf("Computers without work boot: %s; those that nobody has accepted: %s.\n", inWords(settings.Accepted), inWords(settings.Unknown))
	if len(all) == 0 {
		fmt.Println("None has booted from the network since the appliance started.")
		return nil
	}
	w := newTable("COMPUTER", "CLASSROOM", "MAC", "FIRMWARE", "BOOTS", "STATE", "STEP", "TOOK", "BEGAN")
	for _, b := range all {
		w.row(b.Name, b.Classroom, b.MAC, firmware(b), inWords(b.Target), b.State, lastStep(b).Name, bootTook(b), local(b.Began))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, b := range all {
		if b.Reason != "" {
			fmt.Printf("%s: %s\n", cmp.Or(b.Name, b.MAC), b.Reason)
		}
	}
	return nil
}

func (c *bootShowCommand) one(ctx context.Context, server *client.Client) error {
	macs, err := macsOf(ctx, server, c.Computer)
	if err != nil {
		return c.explain(err)
	}
	boots := []api.Boot{}
	for _, mac := range macs {
		of, err := server.BootsOf(ctx, mac)
		if err != nil {
			return c.explain(err)
		}
		boots = append(boots, of...)
	}
	if c.JSON {
		return printJSON(boots)
	}
	if len(boots) == 0 {
		fmt.Printf("%s has not booted from the network since the appliance started.\n", c.Computer)
	}
	for i, b := range boots {
		if i > 0 {
			fmt.Println()
		}
		fmt.Printf("%s  %s  %s  %s: %s", local(b.Began), b.MAC, firmware(b), b.State, cmp.Or(inWords(b.Target), "not told yet what to boot"))
		if b.Why != "" {
			fmt.Printf(" (%s)", b.Why)
		}
		fmt.Println()
		w := newTable("STEP", "PHASE", "AFTER", "TOOK", "DETAIL")
		for _, s := range b.Steps {
			w.row(s.Name, s.Phase, seconds(s.Began.Sub(b.Began)), seconds(s.Last.Sub(s.Began)), s.Detail)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if b.Reason != "" {
			fmt.Println(b.Reason)
		}
	}
	return nil
}

// macsOf are the network cards of the computer with that name; a MAC address stands for itself, known or not.
func macsOf(ctx context.Context, server *client.Client, word string) ([]string, error) {
	s, err := fetchScope(ctx, server)
	if err != nil {
		return nil, err
	}
	p, err := s.one(word)
	switch {
	case err == nil && p.pc != nil:
		return p.pc.MACs, nil
	case strings.Count(word, ":") == 5 || strings.Count(word, "-") == 5:
		return []string{word}, nil
	case err == nil:
		return nil, exitError{fmt.Errorf("%s is a classroom: name a computer, or its MAC address", word), exitNoFile}
	}
	return nil, exitError{err, exitNoFile}
}

func firmware(b api.Boot) string {
	words := []string{cmp.Or(b.Firmware, "unknown")}
	if b.HTTP {
		words = append(words, "HTTP")
	}
	if b.IPXE {
		words = append(words, "iPXE")
	}
	return strings.Join(words, "+")
}

func lastStep(b api.Boot) api.BootStep {
	if len(b.Steps) == 0 {
		return api.BootStep{}
	}
	return b.Steps[len(b.Steps)-1]
}

func bootTook(b api.Boot) string {
	end := b.Ended
	if end.IsZero() {
		end = lastStep(b).Last
	}
	return seconds(end.Sub(b.Began))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", max(0, d).Seconds()) }

func local(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// bootWatchCommand is `aula boot watch`.
type bootWatchCommand struct {
	remote
	jsonFlag
}

// watchPause is how often it is asked what is new.
const watchPause = time.Second

// Run prints each step that is new, as a line; with --json, as a JSON object of the whole boot.
func (c *bootWatchCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	every := time.NewTicker(watchPause)
	defer every.Stop()
	told := map[string]string{}
	for first := true; ; first = false {
		all, err := server.Boots(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return c.explain(err)
		}
		for _, b := range all {
			if err := c.news(told, b, first); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

// news tells of a boot what was not told. What had ended before the watching began is passed over.
func (c *bootWatchCommand) news(told map[string]string, b api.Boot, first bool) error {
	s := lastStep(b)
	now := fmt.Sprint(b.Began, b.State, b.Target, s.Name, s.Phase)
	if told[b.MAC] == now {
		return nil
	}
	told[b.MAC] = now
	if first && b.State != "underway" {
		return nil
	}
	if c.JSON {
		return printJSON(b)
	}
	line := fmt.Sprintf("%s  %s  %s: %s", time.Now().Format(time.TimeOnly), cmp.Or(b.Name, b.MAC), s.Name, s.Phase)
	if s.Detail != "" {
		line += ", " + s.Detail
	}
	if b.State != "underway" {
		line += fmt.Sprintf("; %s after %s", b.State, bootTook(b))
	}
	if b.Reason != "" {
		line += ": " + b.Reason
	}
	_, err := fmt.Println(line)
	return err
}

// bootForgiveCommand is `aula boot forgive`.
type bootForgiveCommand struct {
	remote
	jsonFlag
	Computer string `arg:"" help:"Name or MAC address."`
}

// Run forgives a computer its boots.
func (c *bootForgiveCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	macs, err := macsOf(ctx, server, c.Computer)
	if err != nil {
		return c.explain(err)
	}
	for _, mac := range macs {
		if err := server.Forgive(ctx, mac); err != nil {
			return c.explain(err)
		}
	}
	return c.tell(macs, "%s may boot the client OS again", c.Computer)
}
