package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"aula/appliance/lab"
)

// labCommand is `aula lab`.
type labCommand struct {
	Room labRoomCommand `cmd:"" default:"withargs" help:"Start a virtual classroom, which is what 'aula lab' does with no further word; Ctrl-C takes it down again."`
	Demo labDemoCommand `cmd:"" help:"Show the main job: a PC boots, gives an image, another gets it and boots from its own disk."`
}

// defaultNative is how many native PCs a classroom has when no PC is asked for.
const defaultNative = 4

// labOptions are common to the classroom and the demonstration.
type labOptions struct {
	Port  int    `help:"TCP port of the console on this machine's loopback; any free one when 0." default:"0"`
	Cache string `help:"Folder in which the model disk is kept between runs." env:"AULA_CACHE" default:"${default_cache}" placeholder:"DIR"`
}

// labRoomCommand is `aula lab` itself.
type labRoomCommand struct {
	labOptions
	BIOS   int   `help:"Virtual PCs with BIOS firmware." default:"0" name:"bios"`
	UEFI   int   `help:"Virtual PCs with UEFI firmware." default:"0" name:"uefi"`
	Native int   `help:"PCs that are an agent in a network namespace with a loop device: many, fast, without firmware. Four when no PC of any kind is asked for." default:"0"`
	Disk   int64 `help:"Size of each blank disk in MiB." default:"4096"`
	Model  bool  `help:"Give the first PC a disk with a small Linux installation, to be imaged (made once; takes minutes)."`
}

// labDemoCommand is `aula lab demo`.
type labDemoCommand struct {
	labOptions
	Keep bool `help:"Leave the classroom up at the end, until Ctrl-C."`
}

// isolate moves the program into namespaces of its own and hands the console's socket through. Outside, it ends the
// program when the inside has ended. The model disk is made outside, where there is a network, when it is wanted.
func (o labOptions) isolate(ctx context.Context, model bool) *lab.Inside {
	inside, status, err := lab.Isolate(func() ([]*os.File, error) {
		if model {
			if _, err := lab.ModelDisk(ctx, o.modelCache(), os.Stdout); err != nil {
				return nil, err
			}
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.Port))
		if err != nil {
			return nil, fmt.Errorf("console of the virtual classroom: %w: choose another --port", err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		return []*os.File{f}, err
	})
	if inside != nil {
		return inside
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "aula:", err)
	}
	os.Exit(status)
	return nil
}

func (o labOptions) config(in *lab.Inside) (lab.Config, error) {
	self, err := os.Executable()
	if err != nil {
		return lab.Config{}, err
	}
	return lab.Config{
		Aula: self, Console: in.Files[0],
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, nil
}

// Run starts the classroom and waits for Ctrl-C.
func (c *labRoomCommand) Run(ctx context.Context) (err error) {
	if c.BIOS+c.UEFI+c.Native == 0 {
		c.Native = defaultNative
	}
	cfg, err := c.config(c.isolate(ctx, c.Model))
	if err != nil {
		return err
	}
	room, err := lab.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Println("\nTaking the classroom down...")
		err = errors.Join(err, room.Close())
	}()
	password, err := c.prepare(ctx, room)
	if err != nil {
		return err
	}
	if err := c.addPCs(ctx, room); err != nil {
		return err
	}
	c.greet(room, password)
	<-ctx.Done()
	return nil
}

// greet says what there is and what to do with it.
func (c *labRoomCommand) greet(room *lab.Lab, password string) {
	fmt.Printf("\nThe virtual classroom is up, with %d PCs (%d BIOS, %d UEFI, %d native).\n\n", c.BIOS+c.UEFI+c.Native, c.BIOS, c.UEFI, c.Native)
	fmt.Printf("  console   %s   (the browser warns of its certificate once)\n  user      admin\n  password  %s\n\n", room.ConsoleURL(), password)
	if c.Model {
		fmt.Println("The PCs appear there as pending: accept them, create an image of the first, which has a small Linux, and restore it on others.")
	} else {
		fmt.Println("The PCs appear there as pending, to be accepted. Their disks are blank: start with --model to have one to image.")
	}
	fmt.Printf("What is on their screens (pcN.log) and their disks are in %s. Ctrl-C takes everything down.\n", room.Dir())
}

// prepare makes what a classroom needs before its first PC, and the user who looks at it.
func (c *labRoomCommand) prepare(ctx context.Context, room *lab.Lab) (password string, err error) {
	centre, err := room.API().AddCentre(ctx, "Virtual centre")
	if err != nil {
		return "", err
	}
	if _, err := room.API().AddClassroom(ctx, centre.ID, "Virtual classroom"); err != nil {
		return "", err
	}
	password = rand.Text()[:12]
	_, err = room.API().AddUser(ctx, "admin", password)
	return password, err
}

func (c *labRoomCommand) addPCs(ctx context.Context, room *lab.Lab) error {
	blank := lab.DiskSpec{Bytes: c.Disk << 20}
	first := blank
	if c.Model {
		path, err := lab.ModelDisk(ctx, c.modelCache(), os.Stdout)
		if err != nil {
			return err
		}
		first = lab.DiskSpec{From: path}
	}
	next := func() lab.DiskSpec {
		d := first
		first = blank
		return d
	}
	for range c.BIOS {
		if err := powerOn(room.AddQEMU(lab.QEMUSpec{Firmware: lab.BIOS, Disk: next()})); err != nil {
			return err
		}
	}
	for range c.UEFI {
		if err := powerOn(room.AddQEMU(lab.QEMUSpec{Firmware: lab.UEFI, Disk: next()})); err != nil {
			return err
		}
	}
	for range c.Native {
		if err := powerOn(room.AddNative(lab.NativeSpec{Disk: next()})); err != nil {
			return err
		}
	}
	return nil
}

func powerOn[PC lab.PC](pc PC, err error) error {
	if err != nil {
		return err
	}
	return pc.PowerOn()
}

// Run plays the demonstration.
func (c *labDemoCommand) Run(ctx context.Context) error {
	cfg, err := c.config(c.isolate(ctx, true))
	if err != nil {
		return err
	}
	return lab.Demo(ctx, lab.DemoConfig{Lab: cfg, Cache: c.modelCache(), Keep: c.Keep}, os.Stdout)
}

func (o labOptions) modelCache() string { return filepath.Join(o.Cache, "modeldisk") }

// defaultCache is where the model disk is kept when nobody says otherwise.
func defaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "aula")
}
