package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos/disk"
	"aula/imagestore/multicast"
	"aula/imagestore/multicast/igmp"
)

// multicastSendCommand is `aula multicast send`.
type multicastSendCommand struct {
	multicastFlags
	File    string   `arg:"" help:"File to send; - for what comes on standard input."`
	Session string   `arg:"" help:"PORT:MODE:GROUP:RATE:COMPUTERS:SECONDS."`
	TTL     int      `help:"Routers that may be passed, plus one." default:"1" name:"ttl"`
	Linger  patience `help:"How long to wait for computers that fell silent, when the others are complete." default:"30s"`
	Name    string   `help:"Name that people read at the other side; the file's when left out." placeholder:"NAME"`
	Querier bool     `help:"Ask the network's hosts for their groups, when nobody else does, so that switches with IGMP snooping go on forwarding." default:"true" negatable:""`
}

// Help is what --help says beside the flags.
func (c *multicastSendCommand) Help() string {
	return `Example: aula multicast send win10.img 9000:full-duplex:239.194.17.36:90M:20:60

It waits for 20 computers, and from the first that comes for 60 seconds at most, and sends at 90 Mbit/s at most (0M: as fast as it goes).
Enter on the terminal, or the signal USR1, starts at once. Computers that come later get what they missed.

Exit status: 0 every computer that came is complete; 55 the session or a flag is not right; 56 nothing was sent, or some computers are
not complete, which are named with the reason.`
}

// Run sends.
func (c *multicastSendCommand) Run(ctx context.Context) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	source, closeSource, err := c.source()
	if err != nil {
		return c.end(multicast.SenderStatus{}, exitError{err, exitSend})
	}
	defer closeSource()
	cfg.Source = source
	warn(linkProblems(c.Interface)...)
	status, err := c.send(ctx, cfg)
	return c.end(status, err)
}

// config understands the words.
func (c *multicastSendCommand) config() (multicast.SenderConfig, error) {
	session, err := multicast.ParseSession(c.Session)
	if err != nil {
		return multicast.SenderConfig{}, exitError{err, exitSession}
	}
	if c.TTL < 1 || c.TTL > 255 {
		return multicast.SenderConfig{}, exitError{fmt.Errorf("--ttl %d: it must be from 1 to 255", c.TTL), exitSession}
	}
	key, err := c.key()
	return multicast.SenderConfig{
		Session: session, Key: key, Interface: c.Interface, TTL: c.TTL, Linger: time.Duration(c.Linger), NoOffload: c.NoOffload,
	}, err
}

// source opens what is to be sent.
func (c *multicastSendCommand) source() (multicast.Source, func() error, error) {
	if c.File == "-" {
		if isTerminal(os.Stdin) {
			return nil, nil, errors.New("standard input is a terminal: pipe into it what is to be sent, or name a file instead of -")
		}
		return multicast.NewStream(standardInput(), c.Name), func() error { return nil }, nil
	}
	file, err := multicast.OpenFile(c.File)
	if err != nil {
		return nil, nil, err
	}
	if c.Name != "" {
		file.Identified(c.Name, file.Content().ID)
	}
	return file, file.Close, nil
}

// send sends, and tells how it goes.
func (c *multicastSendCommand) send(ctx context.Context, cfg multicast.SenderConfig) (multicast.SenderStatus, error) {
	sender, err := multicast.NewSender(ctx, cfg)
	if err != nil {
		return multicast.SenderStatus{}, exitError{err, exitSend}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGUSR1)
	defer signal.Stop(signals)
	pressed, stop := enterPressed()
	defer stop()

	defer c.query(ctx, sender.Interface())()
	done := make(chan error, 1)
	go func() { done <- sender.Run(ctx) }()
	news := senderNews{wanted: cfg.Session.Computers, progress: newBar()}
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	for {
		select {
		case <-signals:
			sender.Start()
		case _, ok := <-pressed:
			if !ok {
				pressed = nil
				continue
			}
			sender.Start()
		case <-tick.C:
			news.tell(sender.Status())
		case err := <-done:
			status := sender.Status()
			news.tell(status)
			news.progress.end()
			if came := len(status.Receivers); err == nil && came < cfg.Session.Computers {
				warn(fmt.Sprintf("only %d of %s came", came, count(cfg.Session.Computers, "computer", "computers")))
			}
			return status, sendError(status, err)
		}
	}
}

// query runs an IGMP querier until what it returns is called. Without one the sender does all else.
func (c *multicastSendCommand) query(ctx context.Context, nic string) (stop func()) {
	if !c.Querier {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		querier := igmp.Querier{Interface: nic}
		if err := querier.Run(ctx); err != nil && ctx.Err() == nil {
			warn(fmt.Sprintf("%v: a switch with IGMP snooping may stop the session after minutes, unless a router asks", err))
		}
	}()
	return func() { cancel(); <-done }
}

// sendError gives an error its exit status, and tells why a computer is not complete.
func sendError(status multicast.SenderStatus, err error) error {
	var incomplete *multicast.IncompleteError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &incomplete):
		for _, r := range incomplete.Receivers {
			fmt.Fprintln(os.Stderr, "aula:", receiverLine(r))
		}
		return exitError{incompleteError{incomplete, len(status.Receivers)}, exitSend}
	case errors.Is(err, context.Canceled):
		return exitError{errors.New("interrupted: who received goes on where it was when the same file is sent again"), exitSend}
	}
	return exitError{err, exitSend}
}

// An incompleteError is the short form of one whose receivers have been named already.
type incompleteError struct {
	*multicast.IncompleteError
	of int
}

func (e incompleteError) Error() string {
	return fmt.Sprintf("not complete on %d of %s", len(e.Receivers), count(e.of, "computer", "computers"))
}

func (e incompleteError) Unwrap() error { return e.IncompleteError }

// end prints what came of it.
func (c *multicastSendCommand) end(status multicast.SenderStatus, err error) error {
	if c.JSON {
		return errors.Join(err, printJSON(struct {
			multicast.SenderStatus
			verdict
		}{status, verdictOf(err)}))
	}
	if err == nil {
		fmt.Printf("%s: %s complete, %s in %s\n", status.Name, count(len(status.Receivers), "computer", "computers"),
			disk.FormatSize(status.Size), status.Elapsed.Round(time.Second))
	}
	return err
}
