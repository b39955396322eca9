package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/imagestore/torrent"
	"aula/webui/api"
)

// deployCommand is `aula deploy`: the console's wizard in a line.
type deployCommand struct {
	running
	Image string `arg:"" help:"Name of the image, or with --whole of a set of images."`

	To     string `help:"Where it goes on each computer." placeholder:"DISK/PART"`
	Whole  bool   `help:"The whole disk: layout, boot code and all partitions of a set of images."`
	Disk   int    `help:"With --whole, the disk." default:"1"`
	Update bool   `help:"Only bring the image into the caches." name:"update-cache"`

	By       string `help:"multicast, torrent or unicast; what the classroom has by default when left out." placeholder:"PROTOCOL"`
	Direct   bool   `help:"Straight to the disk, without the cache."`
	Session  string `help:"Parameters of the protocol, such as 9000:full-duplex:239.194.17.36:90M:20:60 or peer:60; those of the classroom when left out." placeholder:"PARAMETERS"`
	Fallback string `help:"For computers without a cache or without room in it: unicast, multicast or none." placeholder:"PROTOCOL"`

	Repo     string `help:"Repository, or CACHE for what is in the computers' caches already." default:"REPO" placeholder:"NAME"`
	Revision int    `help:"Revision of the image; the current one when left out."`
	Layout   bool   `help:"First make the partitions of the image's disk: everything on the disk is lost."`
	Grow     int    `help:"With --whole, the partition that takes what a larger disk has more." placeholder:"PART"`
	Plain    bool   `help:"Leave the system as it is in the image: no larger filesystem, no name, no boot entry, no scripts."`

	Wake  bool   `help:"First wake the computers by network, and wait 5 minutes for them."`
	Then  string `help:"Afterwards: reboot, poweroff, or boot for the installed system." placeholder:"WORD"`
	Print bool   `help:"Print the instructions, for 'aula run' or a procedure, and do nothing."`
}

// wakeSeconds is for how long PCs that were woken are waited for, as in the console.
const wakeSeconds = 300

// Run composes the instructions and runs them.
func (c *deployCommand) Run(ctx context.Context) error {
	if c.Print && len(c.On) == 0 {
		text, _, err := c.compose(api.Defaults{})
		if err == nil {
			fmt.Print(text)
		}
		return err
	}
	server, err := c.client()
	if err != nil {
		return err
	}
	s, err := fetchScope(ctx, server)
	if err != nil {
		return c.explain(err)
	}
	in, err := s.find(c.On)
	if err != nil {
		return err
	}
	text, program, err := c.compose(s.defaults(in))
	if err != nil {
		return err
	}
	if c.Print {
		_, err := fmt.Print(text)
		return err
	}
	if !c.JSON {
		fmt.Print(text)
	}
	return c.runIn(ctx, server, in, job{text: text, program: program})
}

// compose writes the instructions. What is not said is as the classroom has it.
func (c *deployCommand) compose(d api.Defaults) (string, instruction.Program, error) {
	main, err := c.statement()
	if err == nil {
		main.Delivery, err = c.delivery(d)
	}
	if err != nil {
		return "", instruction.Program{}, exitError{err, exitNoFile}
	}
	statements := []instruction.Statement{main}
	if c.Wake {
		statements = []instruction.Statement{{Word: instruction.WakeUp, Seconds: wakeSeconds}, main}
	}
	switch strings.ToLower(c.Then) {
	case "":
	case "reboot":
		statements = append(statements, instruction.Statement{Word: instruction.Reboot})
	case "poweroff":
		statements = append(statements, instruction.Statement{Word: instruction.PowerOff})
	case "boot":
		after := instruction.Statement{Word: instruction.BootOS}
		if main.Partition > 0 {
			after.Disk, after.Partition = main.Disk, main.Partition
		}
		statements = append(statements, after)
	default:
		return "", instruction.Program{}, exitError{fmt.Errorf("--then %s: it is reboot, poweroff or boot", c.Then), exitNoFile}
	}
	text := instruction.Program{Statements: statements}.String()
	program, err := parse("these instructions", text)
	return text, program, err
}

// statement is the one about the image, without how it comes.
func (c *deployCommand) statement() (instruction.Statement, error) {
	s := instruction.Statement{Image: c.Image, Revision: c.Revision, Plain: c.Plain}
	if !strings.EqualFold(c.Repo, protocol.Repo) && !c.fromCache() {
		s.Repository = c.Repo
	}
	switch {
	case c.Update:
		s.Word = instruction.UpdateCache
		if c.To != "" || c.Whole || c.Layout || c.Plain || c.Grow > 0 || c.Direct || c.fromCache() || c.Fallback != "" {
			return s, fmt.Errorf("--update-cache only brings the image into the caches: leave out all that is about disks")
		}
		return s, nil
	case c.Whole:
		s.Word, s.Disk, s.Grow = instruction.DeployDiskImage, c.Disk, c.Grow
		if c.To != "" || c.Layout || c.Revision > 0 {
			return s, fmt.Errorf("--whole is for all partitions of a disk, in the current revisions: leave out --to, --layout and --revision")
		}
		return s, nil
	case c.Grow > 0:
		return s, fmt.Errorf("--grow goes with --whole: a single image fills its partition anyway")
	}
	s.Word, s.Layout = instruction.DeployImage, c.Layout
	d, p, ok := strings.Cut(c.To, "/")
	if !ok {
		d, p, ok = strings.Cut(c.To, " ")
	}
	var errs [2]error
	s.Disk, errs[0] = strconv.Atoi(d)
	s.Partition, errs[1] = strconv.Atoi(p)
	if !ok || errs[0] != nil || errs[1] != nil || s.Disk < 1 || s.Partition < 1 {
		return s, fmt.Errorf("--to %s: say which partition, such as --to 1/2 for the second of the first disk, or --whole for the whole disk", cmp.Or(c.To, "is missing"))
	}
	return s, nil
}

func (c *deployCommand) fromCache() bool { return strings.EqualFold(c.Repo, protocol.Cache) }

// delivery is how the image comes.
func (c *deployCommand) delivery(d api.Defaults) (protocol.Delivery, error) {
	if c.fromCache() {
		if c.By != "" || c.Session != "" || c.Direct || c.Fallback != "" {
			return protocol.Delivery{}, fmt.Errorf("from the caches the image need not come: leave out --by, --session, --direct and --fallback")
		}
		return protocol.Delivery{From: protocol.Cache}, nil
	}
	out := protocol.Delivery{From: protocol.Repo, Direct: c.Direct, Parameters: c.Session, Protocol: strings.ToUpper(c.By)}
	switch {
	case out.Protocol == "" && c.Session != "":
		out.Protocol = protocol.Multicast
		if _, _, err := torrent.ParseMode(c.Session); err == nil {
			out.Protocol = protocol.Torrent
		}
	case out.Protocol == "":
		out.Protocol, out.Direct = cmp.Or(d.Protocol, protocol.Multicast), c.Direct || d.Direct
	case out.Protocol == protocol.Unicast && c.Session != "":
		return out, fmt.Errorf("--session %s: UNICAST has no parameters", c.Session)
	}
	if c.Update {
		out.Direct = false
	}
	if out.Fallback = strings.ToUpper(cmp.Or(c.Fallback, d.Fallback)); out.Fallback == protocol.Unicast {
		out.Fallback = "" // is meant anyway
	}
	return out, out.Check()
}
