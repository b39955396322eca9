package webui

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"aula/imagestore"
)

type torrentsPage struct {
	page
	On      bool // there is a tracker or a seeder
	Offer   TorrentOffer
	Swarms  []swarmView
	Sharing bool // an image is ready to be fetched
}

// A swarmView is a torrent as the page begins it.
type swarmView struct {
	swarm
	mark
	Key    string // data-live
	Path   string // of the image's page; empty when there is none
	Crowd  string // "8 PCs, 3 have all of it"
	Given  string // what the appliance gave
	Reason string // why it gives it no more
	Rows   []peerView
}

// A peerView is one program on one PC as the page's table shows it.
type peerView struct {
	swarmPeer
	mark
	Key     string // data-live
	Percent int
	Amount  string
	Down    string
	Up      string
	Gave    string // ratio, and bytes
	Note    string // since when it is silent
}

func (s *Server) viewSwarm(w swarm) swarmView {
	v := swarmView{swarm: w, Key: "swarm-" + w.Hash.String(), Crowd: crowdOf(w)}
	if w.Known {
		v.Path = s.imagePath(w.Image.Repository, w.Image.Name, "")
	}
	if w.Err != nil {
		v.Reason = w.Err.Error()
	}
	fetching := 0
	for _, p := range w.Peers {
		if p.State == peerFetching {
			fetching++
		}
		v.Rows = append(v.Rows, viewPeer(w, p, s.now()))
	}
	switch {
	case v.Reason != "":
		v.mark = mark{toneBad, "cross", "Failed"}
	case fetching > 0:
		v.mark = mark{toneWork, "down", "Fetching"}
	case w.Complete() > 0:
		v.mark = mark{toneGood, "check", "Complete"}
	case w.over:
		v.mark = mark{toneIdle, "check", "Over"}
	default:
		v.mark = mark{toneIdle, "clock", "Idle"}
	}
	v.Given = givenOf(w)
	return v
}

// givenOf is "this server gives 112 MB/s, 31 GB so far: 1.30 copies".
func givenOf(w swarm) string {
	given := fmt.Sprintf("%s so far: %.2f copies", size(w.Uploaded), w.Copies())
	switch {
	case w.Seeding && w.UpRate > 0:
		return "this server gives " + perSecond(w.UpRate) + ", " + given
	case w.Uploaded > 0:
		return "this server gave " + given
	}
	return ""
}

// crowdOf is "8 peers, 3 have all of it".
func crowdOf(w swarm) string {
	present, complete := w.Present(), w.Complete()
	crowd := count(present, "peer", "peers")
	switch {
	case present == 0:
		return "no peer now"
	case complete == present:
		return crowd + ", complete"
	case complete > 0:
		return fmt.Sprintf("%s, %d complete", crowd, complete)
	}
	return crowd + ", none complete yet"
}

func viewPeer(w swarm, p swarmPeer, now time.Time) peerView {
	v := peerView{
		swarmPeer: p, Key: "peer-" + w.Hash.String() + "-" + p.Address.String(), Percent: percent(p.Have, w.Size), Amount: amount(p.Have, w.Size),
		Down: perSecond(p.DownRate), Up: perSecond(p.UpRate), Gave: fmt.Sprintf("%.2f", p.Ratio()),
	}
	switch p.State {
	case peerFetching:
		v.mark = mark{toneWork, "down", "Fetching"}
		v.Note = left(p.Have, w.Size, p.DownRate)
	case peerSharing:
		v.mark = mark{toneGood, "up", "Sharing"}
		v.Amount = size(w.Size)
	case peerLeft:
		v.mark = mark{toneIdle, "off", "Left"}
		v.Note = ago(p.Gone, now)
		if p.Have < w.Size {
			v.mark.Tone = toneWarn
		}
	default:
		v.mark = mark{toneWarn, "unplugged", "Silent"}
		v.Note = fmt.Sprintf("last heard %s ago", took(now.Sub(p.Seen)))
	}
	return v
}

func (v swarmView) shape() string {
	return fmt.Sprint(v.mark, v.Title(), v.Path, v.Reason, v.Given == "")
}

func (v swarmView) fields() map[string]string {
	return map[string]string{"crowd": v.Crowd, "given": v.Given}
}

func (v peerView) shape() string {
	return fmt.Sprint(v.mark, v.Name(), v.ComputerID, v.Client, v.Since)
}

func (v peerView) fields() map[string]string {
	return map[string]string{"percent": v.PercentText(), "amount": v.Amount, "down": v.Down, "up": v.Up, "gave": v.Gave, "note": v.Note}
}

// PercentText is "42 %".
func (v peerView) PercentText() string { return percentText(v.Percent) }

func (s *Server) showTorrents(c echo.Context) error {
	v := torrentsPage{page: s.page(c, "torrents", "Torrents")}
	v.Topics = []string{allTorrents}
	if s.cfg.Torrents != nil {
		v.Offer = s.cfg.Torrents.Offer()
		v.On = v.Offer.Tracker != "" || v.Offer.Port > 0
	}
	swarms, err := s.swarms()
	if err != nil {
		return err
	}
	for _, w := range swarms {
		v.Swarms = append(v.Swarms, s.viewSwarm(w))
	}
	for _, standing := range s.cfg.Images.Standings() {
		v.Sharing = v.Sharing || standing.State == imagestore.Ready || standing.State == imagestore.Locked
	}
	return s.render(c, http.StatusOK, "torrents", v)
}

// A torrentPart is what one PC does by BitTorrent.
type torrentPart struct {
	swarmPeer
	Title string // of the torrent
	Size  int64
}

// torrentParts are the parts of all PCs that are known, by their ids. Of what a PC does at once, fetching is told first.
func torrentParts(swarms []swarm) map[string]torrentPart {
	parts := map[string]torrentPart{}
	for _, w := range swarms {
		for _, p := range w.Peers {
			if p.ComputerID == "" || p.State == peerSilent || p.State == peerLeft {
				continue
			}
			if before, ok := parts[p.ComputerID]; !ok || before.State != peerFetching && p.State == peerFetching {
				parts[p.ComputerID] = torrentPart{p, w.Title(), w.Size}
			}
		}
	}
	return parts
}

// observeTorrents tells the page of torrents who is there and how far each is, and which PCs do something else than before.
func (s *Server) observeTorrents(o *observation, computers map[string]bool) {
	swarms, err := s.swarms()
	if err != nil {
		s.log.Warn("live: torrents not read", "error", err)
		return
	}
	all := ""
	for _, w := range swarms {
		v := s.viewSwarm(w)
		all += v.Key
		if s.shapes.changed(v.Key, v.shape()) {
			o.add(s.html(v.Key, "swarm-head", v), allTorrents)
		} else if s.shapes.changed(v.Key+" numbers", fmt.Sprint(v.fields())) {
			o.add(patch{Key: v.Key, Fields: v.fields()}, allTorrents)
		}
		for _, p := range v.Rows {
			all += p.Key
			if s.shapes.changed(p.Key, p.shape()) {
				o.add(s.html(p.Key, "peer-row", p), allTorrents)
			} else if s.shapes.changed(p.Key+" numbers", fmt.Sprint(p.fields())) {
				o.add(patch{Key: p.Key, Percent: &p.Percent, Fields: p.fields()}, allTorrents)
			}
		}
	}
	if s.shapes.changed("torrents", all) {
		o.changed = append(o.changed, "torrents")
	}
	parts := torrentParts(swarms)
	for id := range s.parts {
		computers[id] = true
	}
	for id := range parts {
		computers[id] = true
	}
	s.parts = parts
}
