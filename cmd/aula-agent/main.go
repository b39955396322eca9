// Command aula-agent is the program that runs on a PC in the client OS. As the first process of the client OS it
// starts the PC and keeps it running; otherwise it runs as a program among others, on a PC of the virtual classroom
// (package clientos/agent/native tells its arguments and exit statuses).
package main

import (
	"os"

	"aula/clientos/agent/boot"
	"aula/clientos/agent/native"
)

// version is set by the linker.
var version = "development"

func main() {
	switch {
	case os.Getpid() == 1:
		boot.Supervise()
	case len(os.Args) == 2 && os.Args[1] == boot.ChildArgument:
		os.Exit(boot.Main(version))
	default:
		os.Exit(native.Main(version, os.Args[1:], os.Stdout, os.Stderr))
	}
}
