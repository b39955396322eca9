package boot

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos/agent"
)

// crashPause is how long the screen shows why the agent ended, before the PC restarts.
const crashPause = 30 * time.Second

// programs is where the client OS keeps its tools.
const programs = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

// Supervise is the first process. It never returns.
func Supervise() {
	mountErr := mountAll()
	settings()
	if mountErr != nil {
		fmt.Println("aula-agent: failed mount:", mountErr)
	}
	status, err := runChild()
	command := endOf(status)
	if err != nil || command == 0 {
		fmt.Printf("\r\naula-agent: failed agent status=%d error=%v\r\nThis PC restarts in %v.\r\n", status, err, crashPause)
		time.Sleep(crashPause)
		command = unix.LINUX_REBOOT_CMD_RESTART
	}
	unix.Sync()
	err = unix.Reboot(command)
	fmt.Println("aula-agent: failed restart: switch this PC off and on:", err)
	select {} // the first process must not end
}

// endOf returns the kernel's command for an exit status of the agent, 0 for none.
func endOf(status int) int {
	switch status {
	case agent.ExitReboot, agent.ExitBootDisk:
		return unix.LINUX_REBOOT_CMD_RESTART
	case agent.ExitPowerOff:
		return unix.LINUX_REBOOT_CMD_POWER_OFF
	}
	return 0
}

// runChild runs the second process to its end. It collects every process whose parent has died, which only the first process can; that
// is why the agent itself, which waits for the tools that it starts, is another one.
func runChild() (status int, err error) {
	cmd := exec.Command("/proc/self/exe", ChildArgument)
	cmd.Env = []string{programs, "HOME=/", "LANG=C.UTF-8"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		case pid == cmd.Process.Pid && ws.Signaled():
			return 0, fmt.Errorf("ended by signal %v", ws.Signal())
		case pid == cmd.Process.Pid:
			return ws.ExitStatus(), nil
		}
	}
}

// settings are the kernel's, for a machine that nobody sits at.
func settings() {
	for file, value := range map[string]string{
		"/proc/sys/kernel/panic":          "30", // seconds until a restart, should even the first process die
		"/proc/sys/kernel/printk_devkmsg": "on",
		"/proc/sys/kernel/printk":         "3", // the screen is the agent's
	} {
		// Without them all works, less well; there is nobody to tell yet.
		_ = os.WriteFile(file, []byte(value), 0)
	}
}
