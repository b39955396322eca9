package lab

import (
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"
)

// A child is a process that the classroom started and will end.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and err is set
	err  error
	told atomic.Bool // to end
}

func startChild(cmd *exec.Cmd) (*child, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// kill ends the process without a chance to do anything more, as a power cut would, and waits for its end.
func (c *child) kill() {
	c.told.Store(true)
	// It fails only for a process that has ended already.
	_ = c.cmd.Process.Kill()
	<-c.done
}

// stop asks the process to end, and kills it when it does not within the grace.
func (c *child) stop(grace time.Duration) {
	c.told.Store(true)
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		c.kill()
	}
}
