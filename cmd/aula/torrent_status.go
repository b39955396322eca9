package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"aula/appliance"
	"aula/clientos/disk"
	"aula/imagestore/torrent/tracker"
	"aula/webui/api"
	"aula/webui/client"
)

// torrentStatusCommand is `aula torrent status`.
type torrentStatusCommand struct {
	jsonFlag
	Data    string `help:"Data folder of the appliance that runs on this machine, to ask it rather than a tracker." placeholder:"DIR"`
	Tracker string `help:"Tracker on this machine to ask; when left out the one at port 6969, and where there is none the appliance." placeholder:"URL"`
}

// Run tells.
func (c *torrentStatusCommand) Run(ctx context.Context) error {
	torrents, err := c.ask(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(torrents)
	}
	return printTorrents(torrents)
}

// ask asks whoever knows.
func (c *torrentStatusCommand) ask(ctx context.Context) ([]api.Torrent, error) {
	if c.Data != "" && c.Tracker != "" {
		return nil, exitError{errors.New("--data asks the appliance and --tracker a tracker: give one of them"), exitNoFile}
	}
	if c.Data != "" {
		return askAppliance(ctx, c.Data)
	}
	status, err := statusURL(cmp.Or(c.Tracker, fmt.Sprintf("http://127.0.0.1:%d", tracker.DefaultPort)))
	if err != nil {
		return nil, exitError{err, exitNoFile}
	}
	swarms, err := tracker.FetchStatus(ctx, status)
	if err == nil {
		return torrentsOf(swarms, time.Now()), nil
	}
	if c.Tracker != "" {
		return nil, err
	}
	if torrents, err := askAppliance(ctx, appliance.DefaultData); err == nil {
		return torrents, nil
	}
	return nil, fmt.Errorf("%w ('aula torrent seed FILE' runs one, and so does the appliance, 'aula serve'; another port: --tracker http://127.0.0.1:PORT)", err)
}

func askAppliance(ctx context.Context, data string) ([]api.Torrent, error) {
	server, err := client.New(appliance.SocketPath(data))
	if err != nil {
		return nil, err
	}
	return server.Torrents(ctx)
}

// statusURL makes the URL of a tracker's status of what a person typed: that URL, the one for announces, or host and port.
func statusURL(s string) (string, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", fmt.Errorf("--tracker %s: write it as http://127.0.0.1:6969", s)
	}
	u.Path, u.RawQuery = "/status", ""
	return u.String(), nil
}

// torrentsOf puts what a tracker tells into the words of the appliance.
func torrentsOf(swarms []tracker.Swarm, now time.Time) []api.Torrent {
	all := []api.Torrent{}
	for _, w := range swarms {
		t := api.Torrent{InfoHash: w.Hash.String(), Name: w.Name, Size: w.Size, Peers: []api.TorrentPeer{}}
		for _, p := range w.Peers {
			state := "fetching"
			switch {
			case now.Sub(p.Seen) > 2*tracker.DefaultInterval:
				state = "silent"
			case p.Left == 0:
				state = "sharing"
			}
			if p.Left == 0 {
				t.Complete++
			}
			t.Peers = append(t.Peers, api.TorrentPeer{
				Address: p.Address.String(), Client: p.Client, State: state, Have: max(0, w.Size-p.Left), Downloaded: p.Downloaded, Uploaded: p.Uploaded,
				DownRate: p.DownRate, UpRate: p.UpRate, Ratio: times(p.Uploaded, cmp.Or(p.Downloaded, w.Size)), Since: p.Since, Seen: p.Seen,
			})
		}
		all = append(all, t)
	}
	return all
}

// printTorrents prints the torrents, and then who is there for them.
func printTorrents(all []api.Torrent) error {
	if len(all) == 0 {
		fmt.Println("nobody fetches or gives anything by BitTorrent now: 'aula torrent seed FILE' gives a file")
		return nil
	}
	torrents := newTable("TORRENT", "SIZE", "PEERS", "COMPLETE", "IMAGE")
	for _, t := range all {
		image := ""
		if t.Image != "" {
			image = fmt.Sprintf("%s, revision %d in %s", t.Image, t.Revision, t.Repository)
		}
		torrents.row(t.Name, disk.FormatSize(t.Size), len(t.Peers), t.Complete, image)
	}
	if err := torrents.Flush(); err != nil {
		return err
	}
	fmt.Println()
	peers := newTable("TORRENT", "PEER", "PC", "CLIENT", "STATE", "DONE", "DOWN", "UP", "RATIO", "SINCE")
	for _, t := range all {
		for _, p := range t.Peers {
			peers.row(t.Name, p.Address, p.Computer, p.Client, p.State, fmt.Sprintf("%.0f %%", percentOf(p.Have, t.Size)), rateOf(p.DownRate), rateOf(p.UpRate),
				fmt.Sprintf("%.2f", p.Ratio), p.Since.Local().Format(time.TimeOnly))
		}
	}
	if err := peers.Flush(); err != nil {
		return err
	}
	for _, t := range all {
		if t.Problem != "" {
			fmt.Printf("%s: %s\n", t.Name, t.Problem)
		}
	}
	return nil
}

// rateOf writes a rate in byte/s; that of nothing is empty.
func rateOf(n int64) string {
	if n == 0 {
		return ""
	}
	return disk.FormatSize(n) + "/s"
}
