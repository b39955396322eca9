package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"aula/clientos/disk"
	"aula/imagestore/multicast"
)

// multicastReceiveCommand is `aula multicast receive`.
type multicastReceiveCommand struct {
	multicastFlags
	Out            string   `arg:"" help:"File to make, or block device to fill." type:"path"`
	Session        string   `arg:"" help:"The sender's session, or PORT[:SERVERIP[:START_TIMEOUT[:RECEIVE_TIMEOUT]]] with seconds, 0 for none."`
	Server         ipv4     `help:"Address of the sender: with it, what the switch does not let through comes by unicast." placeholder:"IP"`
	Name           string   `help:"Name that the sender's operator reads; this machine's when left out." placeholder:"NAME"`
	StartTimeout   patience `help:"How long to wait for the start; for ever when left out." placeholder:"TIME"`
	ReceiveTimeout patience `help:"How long the sender may be silent; for ever when left out." placeholder:"TIME"`
	MemoryMiB      int64    `help:"Memory for blocks that are not complete or not written yet: 8 to 256." default:"64" name:"memory-mib" placeholder:"MIB"`
	Force          bool     `help:"Replace a file that is there, or overwrite a block device."`
}

// Help is what --help says beside the flags.
func (c *multicastReceiveCommand) Help() string {
	return `Example: aula multicast receive win10.img 9000:full-duplex:239.194.17.36:90M:20:60

Of the session only port and group matter here. With PORT alone the group is that of the interface's network: 239.194.17.36 in 172.17.36.0/24.

What comes is in OUT.partial until it is complete; when it is interrupted, the same command goes on where it was. A block device is
written straight, and begun anew.

Exit status: 0 complete; 55 the session or a flag is not right; 57 it was not received; 60 no sender was heard in time.`
}

// Run receives.
func (c *multicastReceiveCommand) Run(ctx context.Context) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	warn(linkProblems(c.Interface)...)
	status, err := c.receive(ctx, cfg)
	if c.JSON {
		return errors.Join(err, printJSON(struct {
			multicast.ReceptionStatus
			verdict
		}{status, verdictOf(err)}))
	}
	if err == nil {
		fmt.Printf("%s: %s, %s in %s\n", c.Out, cmp.Or(status.Name, "complete"), disk.FormatSize(status.Size), status.Elapsed.Round(time.Second))
	}
	return err
}

// config understands the words.
func (c *multicastReceiveCommand) config() (multicast.ReceiverConfig, error) {
	join, err := multicast.ParseJoin(c.Session)
	if err != nil {
		return multicast.ReceiverConfig{}, exitError{err, exitSession}
	}
	if c.MemoryMiB < 8 || c.MemoryMiB > 256 {
		return multicast.ReceiverConfig{}, exitError{fmt.Errorf("--memory-mib %d: it must be from 8 to 256", c.MemoryMiB), exitSession}
	}
	if c.Server.IsValid() {
		join.Server = c.Server.Addr
	}
	if !join.Group.IsValid() {
		network, err := networkOf(c.Interface, join.Server)
		if err != nil {
			return multicast.ReceiverConfig{}, exitError{err, exitSession}
		}
		join.Group = multicast.GroupOf(network)
	}
	key, err := c.key()
	return multicast.ReceiverConfig{
		Port: join.Port, Group: join.Group, Key: key, Name: c.Name, Interface: c.Interface, Server: join.Server,
		StartTimeout: cmp.Or(time.Duration(c.StartTimeout), join.StartTimeout), ReceiveTimeout: cmp.Or(time.Duration(c.ReceiveTimeout), join.ReceiveTimeout),
		Memory: c.MemoryMiB << 20, NoOffload: c.NoOffload,
	}, err
}

// receive receives, and tells how it goes.
func (c *multicastReceiveCommand) receive(ctx context.Context, cfg multicast.ReceiverConfig) (status multicast.ReceptionStatus, err error) {
	sink, err := multicast.OpenFileSink(c.Out, c.Force)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w (--force does)", err)
	}
	if err != nil {
		return status, exitError{err, exitReceive}
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	cfg.Sink = sink
	receiver, err := multicast.NewReceiver(cfg)
	if err != nil {
		return status, exitError{err, exitReceive}
	}
	done := make(chan error, 1)
	go func() { done <- receiver.Run(ctx) }()
	news := receptionNews{port: cfg.Port, group: cfg.Group, progress: newBar()}
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			news.tell(receiver.Status())
		case err := <-done:
			status = receiver.Status()
			news.tell(status)
			news.progress.end()
			return status, c.receiveError(cfg, status, err)
		}
	}
}

// receiveError gives an error its exit status, and tells what to look at.
func (c *multicastReceiveCommand) receiveError(cfg multicast.ReceiverConfig, status multicast.ReceptionStatus, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, multicast.ErrNoSender):
		if !status.Sender.IsValid() {
			warn(c.unheard(cfg)...)
		}
		return exitError{err, exitNoSender}
	case errors.Is(err, context.Canceled):
		return exitError{errors.New("interrupted: the same command goes on where it was"), exitReceive}
	}
	return exitError{err, exitReceive}
}

// unheard is what to look at, beside what the error tells, when no sender was heard.
func (c *multicastReceiveCommand) unheard(cfg multicast.ReceiverConfig) []string {
	advice := linkProblems(cfg.Interface)
	if cfg.Interface == "" {
		advice = append(advice, "if this machine has several network interfaces, choose the one to the room with --interface")
	} else {
		advice = append(advice, fmt.Sprintf("see that %s is the interface to the room", cfg.Interface))
	}
	if !cfg.Server.IsValid() {
		return append(advice, "with --server and the sender's address it works through switches that let no multicast through")
	}
	return append(advice, fmt.Sprintf("see that 'ping %s' answers", cfg.Server))
}
