package agent

import "aula/clientos/protocol"

// Exit statuses with which a program tells what Run returned to the one that started it.
const (
	ExitReboot   = 10
	ExitBootDisk = 11
	ExitPowerOff = 12
)

// ExitStatus returns the exit status for what Run returned, 0 for nothing.
func ExitStatus(outcome string) int {
	switch outcome {
	case protocol.Reboot:
		return ExitReboot
	case protocol.BootDisk:
		return ExitBootDisk
	case protocol.PowerOff:
		return ExitPowerOff
	}
	return 0
}
