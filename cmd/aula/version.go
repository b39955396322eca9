package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	"aula/clientos"
)

// versionCommand is `aula version`.
type versionCommand struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// Run prints the version.
func (c *versionCommand) Run() error {
	var clientOS string
	if err := clientos.Embedded().Check(); err != nil {
		clientOS = err.Error()
	} else {
		clientOS = clientos.Embedded().Describe()
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(map[string]string{
			"version": version, "go": runtime.Version(), "clientOS": clientOS,
		})
	}
	fmt.Printf("aula %s (%s)\nclient OS: %s\n", version, runtime.Version(), clientOS)
	return nil
}
