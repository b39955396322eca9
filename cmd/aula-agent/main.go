// Command aula-agent is the program that runs on a PC in the client OS. As the first process of the client OS it
// starts the PC and keeps it running; otherwise it runs as a program among others, on a PC of the virtual classroom:
//
//	aula-agent --server HOST:PORT --pin HEX --ticket T --mac MAC --disk /dev/loopN[,/dev/loopM]
//
// Then it ends, instead of restarting the machine, with one of these exit statuses:
//
//	 0  it was told to stop by a signal
//	10  the PC is to restart (reboot, or the server refused it and it needs a new ticket)
//	11  the PC is to start from its own disk
//	12  the PC is to switch off
//	 2  the command line is wrong
package main

import (
	"os"

	"aula/clientos/agent/boot"
)

// version is set by the linker.
var version = "development"

const usage = `usage: aula-agent --server HOST:PORT --pin HEX --ticket T --mac MAC --disk DEVICE[,DEVICE]

Connects to an Aula server as one PC and obeys its instructions, on the named disks only.
`

const exitUsage = 2

func main() {
	switch {
	case os.Getpid() == 1:
		boot.Supervise()
	case len(os.Args) == 2 && os.Args[1] == boot.ChildArgument:
		os.Exit(boot.Main(version))
	default:
		os.Exit(native(os.Args[1:], os.Stdout, os.Stderr))
	}
}
