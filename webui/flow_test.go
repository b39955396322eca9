package webui

import (
	"net/http"
	"net/url"
	"testing"

	"aula/clientos/protocol"
)

func TestEveryPageOfABusyApplianceIsShown(t *testing.T) {
	b := newBed(t)
	room := b.hall("Faculty", "Room 1")
	first, second := b.enrol(room, 1), b.enrol(room, 2)
	waiting := b.arrive(3)
	b.publish("win11", first, true)
	br := b.login(b.serve())
	started := br.post("/capture", url.Values{"pc": {second.ID}, "part": {"1/2"}, "image": {"debian"}}).want(http.StatusSeeOther)
	b.report(second, protocol.Report{Stage: protocol.StageReading, Bytes: 30, Total: 100, Rate: 10})
	for _, path := range []string{
		"/", "/classrooms/" + room.ID, "/rooms", "/pending", "/computers/" + first.ID, "/computers/" + second.ID, "/computers/" + waiting.ID,
		"/images", "/images/win11", "/capture", "/capture?pc=" + first.ID, "/restore", "/restore?pc=" + first.ID,
		"/restore/check?method=UNICAST-DIRECT&image=win11&pc=" + first.ID, "/power?kind=reboot&pc=" + first.ID, "/power?kind=poweroff",
		"/operations", started.Header.Get("Location"), "/settings",
	} {
		t.Run(path, func(t *testing.T) { br.get(path).want(http.StatusOK).has("</html>") })
	}
}
