package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"aula/clientos/agent"
)

// A NativeSpec says what a native PC is made of.
type NativeSpec struct {
	Disk DiskSpec
	// Rate limits its cable in both directions, in bit/s; 0 for no limit.
	Rate int64
	// Loss is the share of packets lost on the way to it, from 0 to 1.
	Loss float64
}

// A NativePC is the real agent in a network namespace with a loop device for its disk. It has no firmware: switched on, it
// asks for an address and a boot script as a PC would, and then runs the agent in place of what the script boots.
// It boots no operating system; told to, it says so on its serial console and stays on.
type NativePC struct {
	*machine
	agent   []string // its command line
	script  string   // of the DHCP client
	mounts  string   // folder below which the agent mounts its cache and the systems that it restored
	loop    *loopDevice
	plugged bool // there is a namespace

	mu     sync.Mutex
	cut    context.CancelFunc // cuts the power
	off    chan struct{}
	closed bool
}

// AddNative adds a native PC to the classroom. It is off.
func (l *Lab) AddNative(spec NativeSpec) (*NativePC, error) {
	m, err := l.newMachine(spec.Disk)
	if err != nil {
		return nil, err
	}
	p := &NativePC{machine: m, agent: l.cfg.Agent, script: l.leaseScript(), mounts: filepath.Join(l.Dir(), m.name+".mnt"), off: closed()}
	if err := os.Mkdir(p.mounts, 0o700); err != nil {
		return nil, err
	}
	l.own(p)
	if p.loop, err = attachLoop(p.disk, spec.Disk.sectorSize()); err != nil {
		return nil, fmt.Errorf("disk of %s: %w", p.name, err)
	}
	if err := plugNamespace(p.name, p.mac); err != nil {
		return nil, err
	}
	p.plugged = true
	if spec.Rate > 0 {
		if err := p.SetRate(spec.Rate); err != nil {
			return nil, err
		}
	}
	if spec.Loss > 0 {
		if err := p.SetLoss(spec.Loss); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Device is the loop device that the agent knows as disk 1.
func (p *NativePC) Device() string { return p.loop.path }

// SetRate limits the PC's cable in both directions to rate bit/s; 0 takes the limit away.
func (p *NativePC) SetRate(rate int64) error { return setRate(p.name, rate) }

// SetLoss loses that share of the packets on their way to the PC, from 0 to 1.
func (p *NativePC) SetLoss(share float64) error { return setLoss(p.name, share) }

// PowerOn implements PC.
func (p *NativePC) PowerOn() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("%s is no longer in the classroom", p.name)
	}
	if isOpen(p.off) {
		return nil
	}
	if err := setCable(p.name, true); err != nil {
		return err
	}
	ctx, cut := context.WithCancel(context.Background())
	off := make(chan struct{})
	p.cut, p.off = cut, off
	p.serial.power(true)
	go func() {
		defer close(off)
		defer p.serial.power(false)
		defer cut()
		p.run(ctx)
	}()
	return nil
}

// PowerOff implements PC. The cable goes dead first: the kernel must not say goodbye to the PC's peers when it closes the
// dead processes' connections.
func (p *NativePC) PowerOff() {
	p.mu.Lock()
	cut, off := p.cut, p.off
	p.mu.Unlock()
	if cut != nil {
		if err := setCable(p.name, false); err != nil {
			p.say("%v", err)
		}
		cut()
	}
	<-off
}

// Off implements PC.
func (p *NativePC) Off() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.off
}

func (p *NativePC) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.PowerOff()
	var errs []error
	if p.plugged {
		errs = append(errs, unplug(p.name), command("ip", "netns", "delete", p.name))
	}
	if p.loop != nil {
		errs = append(errs, p.loop.close())
	}
	return errors.Join(append(errs, p.log.Close())...)
}

// say is the firmware's voice on the serial console.
func (p *NativePC) say(format string, args ...any) {
	fmt.Fprintf(p.serial, "native PC: "+format+"\r\n", args...)
}

// An ending is how a boot ended.
type ending int

const (
	reboots ending = iota
	bootsOwnDisk
	powersOff
)

// bootPause is between two attempts to boot.
const bootPause = time.Second

// run is the PC's life from power-on to power-off.
func (p *NativePC) run(ctx context.Context) {
	for ctx.Err() == nil {
		end, err := p.boot(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			p.say("boot failed: %v", err)
			select {
			case <-time.After(bootPause):
			case <-ctx.Done():
			}
		case end == reboots:
			p.say("reboots")
		case end == bootsOwnDisk:
			p.say("boots its own disk")
			<-ctx.Done()
		case end == powersOff:
			p.say("powers off")
			return
		}
	}
}

// boot boots the PC once, from its request for an address to the end of the agent. When it returns, nothing that it started
// runs any more.
func (p *NativePC) boot(ctx context.Context) (ending, error) {
	if err := p.scanPartitions(); err != nil {
		return 0, err
	}
	lease, err := p.lease(ctx)
	if err != nil {
		return 0, err
	}
	defer lease.close()
	parameters, err := p.netboot(ctx, lease)
	if errors.Is(err, errOwnDisk) {
		return bootsOwnDisk, nil
	}
	if err != nil {
		return 0, err
	}
	p.say("has %s, agent for %s", lease.address, parameters.server)
	return p.runAgent(ctx, parameters)
}

// scanPartitions makes the kernel know the disk's partitions as it would after power-on.
func (p *NativePC) scanPartitions() error {
	// The kernel may know none yet, and the disk may have none.
	_ = exec.Command("partx", "--delete", p.loop.path).Run()
	if exec.Command("partx", "--show", p.loop.path).Run() != nil {
		return nil
	}
	return command("partx", "--add", p.loop.path)
}

func (p *NativePC) runAgent(ctx context.Context, b bootParameters) (ending, error) {
	argv := append(append([]string{}, p.agent...),
		"--server", b.server, "--pin", b.pin, "--ticket", b.ticket, "--mac", p.mac, "--disk", p.loop.path, "--folder", p.mounts)
	cmd := inNamespace(p.name, argv...)
	cmd.Stdout, cmd.Stderr = p.serial, p.serial
	running, err := startChild(cmd)
	if err != nil {
		return 0, fmt.Errorf("start the agent: %w", err)
	}
	select {
	case <-ctx.Done():
		running.kill()
		return 0, ctx.Err()
	case <-running.done:
	}
	switch cmd.ProcessState.ExitCode() {
	case agent.ExitReboot, agent.ExitBootDisk: // the next boot script knows which
		return reboots, nil
	case agent.ExitPowerOff:
		return powersOff, nil
	}
	return 0, fmt.Errorf("the agent ended by itself: %v", cmd.ProcessState)
}
