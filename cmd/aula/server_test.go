package main

import (
	"context"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"aula/appliance"
	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/appliance/operation"
	"aula/appliance/roster"
	"aula/appliance/upkeep"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/webui"
)

// serveAPI answers the commands as `aula serve` with that data folder would, without a network for PCs. The first repository has one
// image, called lab.
func serveAPI(t *testing.T) (data string) {
	t.Helper()
	return newBed(t).data
}

// A bed is an appliance with PCs that do what a test says.
type bed struct {
	t       *testing.T
	data    string
	cat     *catalog.Catalog
	pcs     *testPCs
	console *webui.Server
	boots   *testBoots
	network *testNetwork
}

func newBed(t *testing.T) *bed {
	t.Helper()
	data := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cat, err := catalog.Open(filepath.Join(data, "catalog.db"))
	ok(err)
	t.Cleanup(func() { cat.Close() })
	repository, err := imagestore.Open(filepath.Join(data, "images"), imagestore.Options{
		Name: "main", Keep: 5, Trash: 24 * time.Hour, Log: log,
	})
	ok(err)
	publish(t, repository, "lab")
	images := imagestore.NewLibrary(repository)
	t.Cleanup(func() { images.Close() })
	uploads, err := incorporation.OpenUploads(filepath.Join(repository.Dir(), ".uploads"), repository.Free, time.Now)
	ok(err)
	work, err := upkeep.New(upkeep.Config{Library: images, Catalog: cat, Uploads: uploads, Options: imagestore.Options{Log: log}, Log: log})
	ok(err)
	runUntilTheEnd(t, work.Run)
	runUntilTheEnd(t, images.Run)

	pcs := &testPCs{obey: map[string]func(protocol.Instruct) []protocol.Report{}}
	operations, err := operation.New(operation.Config{Agents: pcs, Store: cat, Computers: cat, Images: images, Log: log})
	ok(err)
	identity, err := roster.LoadIdentity(data)
	ok(err)
	pcs.report = operations.Report
	t.Cleanup(pcs.working.Wait)
	runUntilTheEnd(t, operations.Run)
	pcs.Roster, err = roster.New(roster.Config{Catalog: cat, Images: images, Identity: identity, Work: operations, Log: log})
	ok(err)
	boots, network := &testBoots{}, &testNetwork{}
	console, err := webui.New(webui.Config{
		Catalog: cat, Roster: pcs, Operations: operations, Images: images, Upkeep: work, Uploads: uploads, Log: log, Boots: boots, Network: network,
	})
	ok(err)

	socket, err := net.Listen("unix", appliance.SocketPath(data))
	ok(err)
	server := &http.Server{Handler: console.Local()}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(socket) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return &bed{t: t, data: data, cat: cat, pcs: pcs, console: console, boots: boots, network: network}
}

// runUntilTheEnd runs a service until the test has ended.
func runUntilTheEnd(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func publish(t *testing.T, images *imagestore.Repository, name string) {
	t.Helper()
	staging, err := images.Stage(name, imagestore.Source{Computer: "pc-01", Disk: 1, Partition: 2})
	if err != nil {
		t.Fatal(err)
	}
	data := smallImage()
	sum := blake3.Sum256(data)
	if _, err := staging.Write(data); err != nil {
		t.Fatal(err)
	}
	if _, err := staging.Publish(t.Context(), hex.EncodeToString(sum[:]), nil); err != nil {
		t.Fatal(err)
	}
}

func TestCommandsAskTheRunningAppliance(t *testing.T) {
	data := serveAPI(t)
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"list", "lab   1         ready  PARTCLONE:NONE:XFS:32", []string{"image", "list"}},
		{"list as JSON", `"name": "lab"`, []string{"image", "list", "--json"}},
		{"info by name", "PARTCLONE:NONE:XFS:32\n", []string{"image", "info", "lab"}},
		{"info by name as JSON", `"requiredBytes": 32768`, []string{"image", "info", "lab", "--json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, status := aula(t, append(c.args, "--data", data)...)
			if status != 0 || !strings.Contains(stdout, c.want) {
				t.Errorf("got status %d, %q, %q; want %q in it", status, stdout, stderr, c.want)
			}
		})
	}
	t.Run("info of an image that is not there", func(t *testing.T) {
		stdout, stderr, status := aula(t, "image", "info", "attic", "--data", data)
		if status != 2 || stdout != "" || !strings.Contains(stderr, "attic") {
			t.Errorf("got status %d, %q, %q", status, stdout, stderr)
		}
	})
}
