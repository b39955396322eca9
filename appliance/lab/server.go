package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// stopGrace is how long the appliance may take to stop in order.
const stopGrace = 15 * time.Second

// ServerLog is the path of the file that holds what the appliance has written, over all its restarts.
func (l *Lab) ServerLog() string { return filepath.Join(l.Dir(), "serve.log") }

func (l *Lab) configFile() string { return filepath.Join(l.Dir(), "aula.toml") }

func (l *Lab) writeConfig() error {
	// The kernel's last console is the one that PCs without a screen have. It does not try its timer, because in emulation on a busy machine the timer is late, and the
	// kernel would panic.
	text := fmt.Sprintf(`interface = %q
data = %q
%s
[dhcp]
mode = %q
[boot]
kernel-parameters = "console=tty0 console=ttyS0,115200 no_timer_check"
[repository]
reserve-mib = 0
`, bridge, l.Data(), l.cfg.Settings, l.cfg.Mode)
	return os.WriteFile(l.configFile(), []byte(text), 0o600)
}

// consoleURL is where the socket listens.
func consoleURL(socket *os.File) (string, error) {
	if socket == nil {
		return "", nil
	}
	l, err := net.FileListener(socket)
	if err != nil {
		return "", fmt.Errorf("socket of the console: %w", err)
	}
	return "https://" + l.Addr().String() + "/", l.Close()
}

// StartServer starts the appliance and waits until it answers. One that runs already is left as it is.
func (l *Lab) StartServer(ctx context.Context) error {
	l.server.Lock()
	defer l.server.Unlock()
	if s := l.server.process; s != nil && isOpen(s.done) {
		return nil
	}
	log, err := os.OpenFile(l.ServerLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := l.serverCommand()
	cmd.Stdout, cmd.Stderr = log, log
	process, err := startChild(cmd)
	if err != nil {
		return fmt.Errorf("start the appliance: %w", err)
	}
	l.server.process = process
	if err := l.awaitServer(ctx, process); err != nil {
		return err
	}
	go func() {
		<-process.done
		if !process.told.Load() {
			l.cfg.Log.Error("the appliance of the virtual classroom has ended by itself", "error", process.err, "log", l.ServerLog())
		}
	}()
	return nil
}

// serverCommand hands the console's socket over as systemd does (sd_listen_fds(3)).
func (l *Lab) serverCommand() *exec.Cmd {
	argv := []string{l.cfg.Aula, "serve", "--config", l.configFile()}
	if l.cfg.Console == nil {
		return exec.Command(argv[0], argv[1:]...)
	}
	// LISTEN_PID must name the process itself, which only it knows before it runs.
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, argv...)...)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=console")
	cmd.ExtraFiles = []*os.File{l.cfg.Console}
	return cmd
}

// awaitServer waits until the appliance answers.
func (l *Lab) awaitServer(ctx context.Context, process *child) error {
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		_, err := l.api.Version(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-pause.C:
		case <-process.done:
			return fmt.Errorf("the appliance ended at its start: %w; its last words:\n%s", process.err, l.serverTail())
		case <-ctx.Done():
			return fmt.Errorf("the appliance does not answer: %w; its last words:\n%s", errors.Join(context.Cause(ctx), err), l.serverTail())
		}
	}
}

// KillServer ends the appliance as kill -9 or a power cut would.
func (l *Lab) KillServer() {
	l.server.Lock()
	defer l.server.Unlock()
	if s := l.server.process; s != nil {
		s.kill()
	}
}

// RestartServer stops the appliance in order and starts it again.
func (l *Lab) RestartServer(ctx context.Context) error {
	l.stopServer()
	return l.StartServer(ctx)
}

func (l *Lab) stopServer() {
	l.server.Lock()
	defer l.server.Unlock()
	if s := l.server.process; s != nil {
		s.stop(stopGrace)
	}
}

// serverTail is the end of the appliance's log.
func (l *Lab) serverTail() string {
	text, err := os.ReadFile(l.ServerLog())
	if err != nil {
		return err.Error()
	}
	return lastLines(text, lastWords)
}
