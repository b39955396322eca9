package main

import (
	"os"

	"aula/clientos/agent/native"
)

// agentCommand is `aula agent`: what aula-agent is on a PC, so that the virtual classroom needs this program only. Its
// arguments are the agent's own.
type agentCommand struct {
	Args []string `arg:"" optional:"" passthrough:""`
}

// Run runs the agent and ends the program with its exit status, which the classroom reads.
func (c *agentCommand) Run() error {
	os.Exit(native.Main(version, c.Args, os.Stdout, os.Stderr))
	return nil
}
