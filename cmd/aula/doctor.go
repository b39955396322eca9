package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"aula/appliance"
	"aula/appliance/doctor"
	"aula/netboot"
	"aula/webui/client"
)

// doctorCommand is `aula doctor`.
type doctorCommand struct {
	jsonFlag
	configFlags
}

// Run tests this machine. It fails when there is a problem, so that scripts know.
func (c *doctorCommand) Run(ctx context.Context) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Print("Testing this machine; it takes some seconds.\n\n")
	}
	results := doctor.Run(ctx, doctor.Options{Config: cfg, Server: func(ctx context.Context) (doctor.Server, error) {
		return askServer(ctx, appliance.SocketPath(cfg.Data))
	}})
	if c.JSON {
		err = printJSON(results)
	} else {
		err = doctor.Print(os.Stdout, results)
	}
	if err == nil && doctor.Worst(results) == doctor.Problem {
		err = errors.New("this machine has problems")
	}
	return err
}

// askServer asks the appliance that listens on a socket how it stands.
func askServer(ctx context.Context, socket string) (doctor.Server, error) {
	api, err := client.New(socket)
	if err != nil {
		return doctor.Server{}, err
	}
	version, err := api.Version(ctx)
	if err != nil {
		return doctor.Server{}, err
	}
	network, err := api.Network(ctx)
	if err != nil {
		return doctor.Server{}, err
	}
	s := doctor.Server{Version: version.Version, Mode: netboot.Mode(network.Mode), Role: network.Role, Asking: network.Asking}
	for _, n := range network.Notices {
		s.Notices = append(s.Notices, doctor.Notice{Level: n.Level, Text: n.Text})
	}
	return s, nil
}
