package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"aula/appliance"
	"aula/appliance/doctor"
	"aula/webui/client"
)

// doctorCommand is `aula doctor`.
type doctorCommand struct {
	jsonFlag
	Config    string `help:"Configuration file of the appliance." placeholder:"FILE"`
	Interface string `help:"Network interface that faces the classroom." placeholder:"IF"`
	Data      string `help:"Data folder of the appliance (${default_data} unless set)." placeholder:"DIR"`
}

// Run tests this machine. It fails when there is a problem, so that scripts know.
func (c *doctorCommand) Run(ctx context.Context) error {
	cfg := appliance.Defaults()
	if c.Config != "" {
		var err error
		if cfg, err = appliance.LoadConfig(c.Config); err != nil {
			return err
		}
	}
	if c.Interface != "" {
		cfg.Interface = c.Interface
	}
	if c.Data != "" {
		cfg.Data = c.Data
	}
	if !c.JSON {
		fmt.Print("Testing this machine; it takes some seconds.\n\n")
	}
	results := doctor.Run(ctx, doctor.Options{Config: cfg, Server: func(ctx context.Context) (string, error) {
		api, err := client.New(appliance.SocketPath(cfg.Data))
		if err != nil {
			return "", err
		}
		v, err := api.Version(ctx)
		return v.Version, err
	}})
	var err error
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
