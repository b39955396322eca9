package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"aula/appliance/lab/modeldisk"
	"aula/webui/api"
)

// A DemoConfig says how to show the appliance's main job.
type DemoConfig struct {
	Lab Config
	// Cache is the folder that has the model disk (see ModelDisk).
	Cache string
	// Targets are the PCs that get the model's system; one with BIOS when empty. Their disks are blank, and as large as the model's where
	// nothing is said of their size.
	Targets []QEMUSpec
	// Keep leaves the classroom up after the demonstration has passed, until ctx ends.
	Keep bool

	started func([]*QEMUPC) error // when not nil, called when the PCs have started from their own disks; for tests
}

// Demo shows the appliance's main job in a virtual classroom: a model PC boots from the network, its whole disk is imaged, PCs with blank
// disks get it in one multicast session, every byte verified, and boot from their own disks to a login prompt with their own names.
//
// It tells out what happens and how long each part took. The last words are "demo: passed" with the console's address, or else
// the error, which begins with "demo: failed". It must be called on the inside of Isolate.
func Demo(ctx context.Context, cfg DemoConfig, out io.Writer) error {
	if len(cfg.Targets) == 0 {
		cfg.Targets = []QEMUSpec{{Firmware: BIOS}}
	}
	d := &demo{cfg: cfg, journal: newJournal(out)}
	err := d.play(ctx)
	if err == nil {
		d.journal.summary()
		fmt.Fprintf(out, "\ndemo: passed\n")
		if cfg.Keep {
			d.linger(ctx, out)
		}
	}
	if d.lab != nil {
		if err != nil {
			fmt.Fprintf(out, "\n%s\n", d.lab.LastWords())
		}
		err = errors.Join(err, d.lab.Close())
	}
	if err != nil {
		return fmt.Errorf("demo: failed: %w", err)
	}
	return nil
}

// demo is one demonstration.
type demo struct {
	cfg      DemoConfig
	journal  *journal
	lab      *Lab
	password string
	room     api.Classroom
	model    api.Computer
	pcs      []*QEMUPC      // with blank disks
	targets  []api.Computer // the same, as the appliance knows them
}

// demoSet is the name of the images of the model's disk.
const demoSet = "demo"

func (d *demo) play(ctx context.Context) error {
	blank := d.blank()
	capture := fmt.Sprintf("createDiskImage 1 REPO %s\npoweroff", demoSet) // the PCs that follow are enough for a small machine
	// All are waited for: who comes late would need a session of its own.
	deploy := fmt.Sprintf("deployDiskImage REPO %s 1 MULTICAST-DIRECT 9000:full-duplex:239.194.17.36:90M:%d:300\nbootOs", demoSet, len(d.cfg.Targets))
	return d.journal.all(ctx,
		step{"the appliance: start, and a classroom in its catalog", d.start},
		step{"model PC (BIOS): network boot and acceptance", d.bootModel},
		step{"model PC (BIOS): " + inOneLine(capture), func(ctx context.Context, say func(string)) error {
			return d.lab.RunProgram(ctx, []api.Computer{d.model}, capture, sayProgress(say))
		}},
		step{blank + ": network boot and acceptance", d.bootTargets},
		step{blank + ": " + inOneLine(deploy), func(ctx context.Context, say func(string)) error {
			return d.lab.RunProgram(ctx, d.targets, deploy, sayProgress(say))
		}},
		step{blank + ": boot from the own disk to the login prompt with the own name", d.awaitLogins},
	)
}

// inOneLine is a program as people may write it as well.
func inOneLine(program string) string { return strings.ReplaceAll(program, "\n", "; ") }

// blank names the PCs with blank disks.
func (d *demo) blank() string {
	var kinds []string
	for _, spec := range d.cfg.Targets {
		kinds = append(kinds, strings.ToUpper(string(spec.Firmware)))
	}
	if len(kinds) == 1 {
		return fmt.Sprintf("blank PC (%s)", kinds[0])
	}
	return fmt.Sprintf("blank PCs (%s)", strings.Join(kinds, ", "))
}

func (d *demo) start(ctx context.Context, _ func(string)) error {
	var err error
	if d.lab, err = Start(ctx, d.cfg.Lab); err != nil {
		return err
	}
	centre, err := d.lab.API().AddCentre(ctx, "Demo centre")
	if err != nil {
		return err
	}
	if d.room, err = d.lab.API().AddClassroom(ctx, centre.ID, "Demo classroom"); err != nil {
		return err
	}
	d.password = rand.Text()[:12]
	_, err = d.lab.API().AddUser(ctx, "admin", d.password)
	return err
}

func (d *demo) bootModel(ctx context.Context, say func(string)) error {
	image, err := modeldisk.Cached(d.cfg.Cache)
	if err != nil {
		return err
	}
	pc, err := d.lab.AddQEMU(QEMUSpec{Firmware: BIOS, Disk: DiskSpec{From: image}})
	if err != nil {
		return err
	}
	if err := pc.PowerOn(); err != nil {
		return err
	}
	defer follow(ctx, pc, say)()
	d.model, err = d.lab.Enrol(ctx, pc, d.room.ID)
	return err
}

func (d *demo) bootTargets(ctx context.Context, say func(string)) error {
	for _, spec := range d.cfg.Targets {
		if spec.Disk.Bytes == 0 {
			spec.Disk.Bytes = modeldisk.Bytes
		}
		pc, err := d.lab.AddQEMU(spec)
		if err != nil {
			return err
		}
		d.pcs = append(d.pcs, pc)
		if err := pc.PowerOn(); err != nil {
			return err
		}
	}
	for _, pc := range d.pcs {
		stop := follow(ctx, pc, say)
		c, err := d.lab.Enrol(ctx, pc, d.room.ID)
		stop()
		if err != nil {
			return err
		}
		d.targets = append(d.targets, c)
	}
	return nil
}

func (d *demo) awaitLogins(ctx context.Context, say func(string)) error {
	for _, pc := range d.pcs {
		defer follow(ctx, pc, say)()
	}
	if err := AwaitLogins(ctx, d.pcs); err != nil || d.cfg.started == nil {
		return err
	}
	return d.cfg.started(d.pcs)
}

// linger leaves the classroom up for people to look at.
func (d *demo) linger(ctx context.Context, out io.Writer) {
	fmt.Fprintf(out, "\n  console   %s\n  user      admin\n  password  %s\n\nSerial consoles and disks are in %s. Ctrl-C takes everything down.\n",
		d.lab.ConsoleURL(), d.password, d.lab.Dir())
	<-ctx.Done()
}

// sayProgress tells how an operation stands on each PC.
func sayProgress(say func(string)) func(api.Operation) {
	return func(o api.Operation) {
		var all []string
		for _, t := range o.Targets {
			text := fmt.Sprintf("%s: %s", t.Name, t.Stage)
			if t.Total > 0 {
				text += fmt.Sprintf(" %d of %d MB", t.Bytes/1e6, t.Total/1e6)
			}
			if t.Rate > 0 {
				text += fmt.Sprintf(" at %.1f MB/s", float64(t.Rate)/1e6)
			}
			all = append(all, text)
		}
		say(strings.Join(all, "; "))
	}
}

// follow tells a PC's last words until stop is called.
func follow(ctx context.Context, pc PC, say func(string)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pause := time.NewTicker(time.Second)
		defer pause.Stop()
		for {
			select {
			case <-pause.C:
				if words := strings.TrimSpace(pc.Serial().Tail(1)); words != "" {
					say(pc.Name() + ": " + words)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
