package lab

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"aula/appliance/lab/modeldisk"
	"aula/appliance/operation"
	"aula/clientos/protocol"
	"aula/webui/api"
)

// Limits of what is waited for. They are for software emulation on a busy machine: a step that takes longer hangs.
const (
	bootLimit  = 10 * time.Minute // from the switch to the agent's first words with the appliance, and to a login prompt
	imageLimit = 30 * time.Minute // to capture or to restore an image
)

// AwaitComputer waits until the appliance knows the PC and the condition holds; what says in words what is waited for.
func (l *Lab) AwaitComputer(ctx context.Context, pc PC, what string, holds func(api.Computer) bool) (api.Computer, error) {
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		c, known, err := l.computer(ctx, pc)
		if err != nil && ctx.Err() == nil {
			return api.Computer{}, err
		}
		if known && holds(c) {
			return c, nil
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return api.Computer{}, fmt.Errorf("%s: %s: %w", pc.Name(), what, context.Cause(ctx))
		}
	}
}

func (l *Lab) computer(ctx context.Context, pc PC) (c api.Computer, known bool, err error) {
	all, err := l.api.Computers(ctx)
	if err != nil {
		return api.Computer{}, false, err
	}
	i := slices.IndexFunc(all, func(c api.Computer) bool { return slices.Contains(c.MACs, pc.MAC()) })
	if i < 0 {
		return api.Computer{}, false, nil
	}
	return all[i], true, nil
}

// Enrol waits until a PC that is on has introduced itself, and accepts it into the classroom under the name of the PC.
func (l *Lab) Enrol(ctx context.Context, pc PC, classroomID string) (api.Computer, error) {
	ctx, cancel := limit(ctx, bootLimit)
	defer cancel()
	c, err := l.AwaitComputer(ctx, pc, "waiting for it to connect", func(c api.Computer) bool { return c.Connected })
	if err != nil || c.State == protocol.Accepted {
		return c, err
	}
	return l.api.Accept(ctx, c.ID, classroomID, pc.Name())
}

// Finish waits for an operation and returns an error unless it is done on every PC.
func (l *Lab) Finish(ctx context.Context, o api.Operation, progress func(api.Operation)) (api.Operation, error) {
	ctx, cancel := limit(ctx, imageLimit)
	defer cancel()
	o, err := l.api.Wait(ctx, o.ID, progress)
	if err != nil {
		return o, fmt.Errorf("waiting for the operation: %w", err)
	}
	if o.State == operation.Done {
		return o, nil
	}
	for _, t := range o.Targets {
		if t.State != operation.Done && t.Failure != nil {
			return o, fmt.Errorf("%s on %s: %s at stage %s: %w%s", o.Kind, t.Name, t.State, t.Failure.Stage, t.Failure, detail(t.Failure))
		}
	}
	return o, fmt.Errorf("%s: %s: %s", o.Kind, o.State, o.Summary)
}

// detail is what a tool said, on lines of its own.
func detail(f *protocol.Failure) string {
	if f.Detail == "" {
		return ""
	}
	return "\n" + lastLines([]byte(f.Detail), lastWords)
}

// CaptureImage makes an image of a partition of disk 1 and waits for it.
func (l *Lab) CaptureImage(ctx context.Context, c api.Computer, partition int, image string, progress func(api.Operation)) (api.Image, error) {
	o, err := l.api.Capture(ctx, api.Capture{ComputerID: c.ID, Disk: 1, Partition: partition, Image: image})
	if err != nil {
		return api.Image{}, err
	}
	if _, err := l.Finish(ctx, o, progress); err != nil {
		return api.Image{}, err
	}
	return l.api.Image(ctx, image)
}

// RestoreImage puts an image on a partition of disk 1 of each PC, waits for it, and checks that all that the image uses was
// verified.
func (l *Lab) RestoreImage(ctx context.Context, cs []api.Computer, partition int, image string, layout bool, progress func(api.Operation)) error {
	r := api.Restore{Disk: 1, Partition: partition, Image: image, Layout: layout}
	for _, c := range cs {
		r.ComputerIDs = append(r.ComputerIDs, c.ID)
	}
	o, err := l.api.Restore(ctx, r)
	if err != nil {
		return err
	}
	if o, err = l.Finish(ctx, o, progress); err != nil {
		return err
	}
	published, err := l.api.Image(ctx, image)
	if err != nil {
		return err
	}
	for _, t := range o.Targets {
		if t.Verified != published.UsedBytes {
			return fmt.Errorf("%s: done with %d bytes verified, but the image has %d", t.Name, t.Verified, published.UsedBytes)
		}
	}
	return nil
}

// RunProgram has PCs carry out a program, waits for it, and wants it done without a warning.
func (l *Lab) RunProgram(ctx context.Context, cs []api.Computer, text string, progress func(api.Operation)) error {
	p := api.Program{Text: text}
	for _, c := range cs {
		p.ComputerIDs = append(p.ComputerIDs, c.ID)
	}
	o, err := l.api.Run(ctx, p)
	if err != nil {
		return err
	}
	if o, err = l.Finish(ctx, o, progress); err != nil {
		return err
	}
	for _, t := range o.Targets {
		for _, w := range t.Warnings {
			return fmt.Errorf("%s is done with a warning: %w%s", t.Name, &w, detail(&w))
		}
	}
	return nil
}

// AwaitLogins waits until each PC has started the model's system from its own disk: for the login prompt, with the PC's name, on its
// serial console.
func AwaitLogins(ctx context.Context, pcs []*QEMUPC) error {
	ctx, cancel := limit(ctx, bootLimit)
	defer cancel()
	for _, pc := range pcs {
		prompt := regexp.MustCompile(regexp.QuoteMeta(modeldisk.LoginPrompt(pc.Name())))
		if _, err := pc.Serial().WaitFor(ctx, prompt); err != nil {
			return fmt.Errorf("%s boots from its own disk: %w", pc.Name(), err)
		}
	}
	return nil
}

func limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("it takes longer than %v", d))
}
