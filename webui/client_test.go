package webui

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"aula/appliance/operation"
	"aula/clientos/protocol"
	"aula/webui/api"
	"aula/webui/client"
)

// socketClient asks through the Unix socket.
func (b *bed) socketClient() *client.Client {
	b.t.Helper()
	b.local()
	c, err := client.New(b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.HTTP.CloseIdleConnections)
	return c
}

func TestTheWholeJobThroughTheAPI(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	v, err := c.Version(ctx)
	must(err)
	if v != (api.Version{Version: "0.1-test", API: "v1"}) {
		t.Errorf("version %+v", v)
	}
	centre, err := c.AddCentre(ctx, "Faculty")
	must(err)
	room, err := c.AddClassroom(ctx, centre.ID, "Room 1")
	must(err)
	waiting := b.arrive(1)
	all, err := c.Computers(ctx)
	must(err)
	if len(all) != 1 || all[0].State != "pending" || all[0].Code != "K7M001" || !all[0].Connected || all[0].Inventory.Disks[0].Serial != "S6B00001" {
		t.Fatalf("computers %+v", all)
	}
	pc, err := c.Accept(ctx, waiting.ID, room.ID, "")
	must(err)
	if pc.Name != "pc-01" || pc.ClassroomID != room.ID || b.pcs.refreshed[pc.ID] != 1 {
		t.Errorf("accepted %+v, told %d times; want pc-01, told once", pc, b.pcs.refreshed[pc.ID])
	}
	if pc, err = c.Place(ctx, pc.ID, room.ID, "model"); err != nil || pc.Name != "model" {
		t.Errorf("renamed: %+v, %v", pc, err)
	}

	o, err := c.Capture(ctx, api.Capture{ComputerID: pc.ID, Disk: 1, Partition: 4, Image: "debian"})
	must(err)
	if o.Actor != "administrator of this machine" || o.State != operation.Running || o.Over() {
		t.Errorf("capture %+v", o)
	}
	known, err := b.cat.Computer(pc.ID)
	must(err)
	b.report(known, protocol.Report{Stage: protocol.StageReading, Bytes: 5, Total: 10})
	if got, err := c.Computer(ctx, pc.ID); err != nil || got.Operation != o.ID || got.Work != protocol.StageReading {
		t.Errorf("busy computer: operation %q, work %q, %v", got.Operation, got.Work, err)
	}
	if err := c.RemoveComputer(ctx, pc.ID); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "busy") {
		t.Errorf("removing a busy computer: %v", err)
	}
	must(c.Cancel(ctx, o.ID))
	b.report(known, protocol.Report{State: protocol.Cancelled, Stage: protocol.StageReading})
	progress := 0
	if o, err = c.Wait(ctx, o.ID, func(api.Operation) { progress++ }); err != nil || o.State != operation.Cancelled || progress == 0 {
		t.Errorf("waited for %+v, %v, %d times told", o, err, progress)
	}

	b.publish("win11", known, false)
	img, err := c.DescribeImage(ctx, "win11", api.ImageText{DisplayName: "Windows 11", Comments: "office"})
	must(err)
	if img.DisplayName != "Windows 11" || img.Revision != 1 || img.Filesystem != "NTFS" || img.Computer != "model" || img.Partition != 2 || img.MD5 == "" {
		t.Errorf("image %+v", img)
	}
	r := api.Restore{ComputerIDs: []string{pc.ID}, Disk: 1, Partition: 2, Image: "win11"}
	checks, err := c.Preflight(ctx, r)
	must(err)
	if len(checks) != 1 || checks[0].Failure != nil || !strings.Contains(checks[0].Disk, "S6B00001") || len(checks[0].Loses) != 1 {
		t.Errorf("preflight %+v", checks)
	}
	o, err = c.Restore(ctx, r)
	must(err)
	b.eventually("the restore", func() bool { return b.instruction(known).Kind == protocol.RestoreImage })
	b.report(known, protocol.Report{State: protocol.Done, Stage: protocol.StageFinishing, Verified: img.UsedBytes})
	if o, err = c.Wait(ctx, o.ID, nil); err != nil || o.State != operation.Done || o.Summary != "1 of 1 verified" {
		t.Errorf("restored %+v, %v", o, err)
	}
	if _, err := c.Power(ctx, "reboot", pc.ID); err != nil {
		t.Error(err)
	}
	if ops, err := c.Operations(ctx, 2); err != nil || len(ops) != 2 || ops[0].Kind != "reboot" {
		t.Errorf("last operations %+v, %v", ops, err)
	}
	b.remove(c, "win11")
	if images, err := c.Images(ctx); err != nil || len(images) != 0 {
		t.Errorf("images %+v, %v", images, err)
	}
	for _, secret := range []string{password, setupCode} {
		if strings.Contains(b.log.String(), secret) {
			t.Error("the log holds a secret")
		}
	}
}

func TestErrorsOfTheAPISayWhatToDo(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	ctx := t.Context()
	room := b.hall("Faculty", "Room 1")
	pc := b.enrol(room, 1)
	b.publish("win11", pc, false)
	ask := func(err error) error { return err }
	for _, x := range []struct {
		name string
		err  error
		want error
		says string
	}{
		{"image that is not there", ask(second(c.Image(ctx, "nothing"))), client.ErrNotFound, "nothing"},
		{"operation that is not there", ask(second(c.Operation(ctx, "nothing"))), client.ErrNotFound, "no such operation"},
		{"computer that is not there", c.RemoveComputer(ctx, "nothing"), client.ErrNotFound, "not in the catalog"},
		{"centre twice", second(c.AddCentre(ctx, "faculty")), client.ErrConflict, "already"},
		{"classroom without a name", second(c.AddClassroom(ctx, room.CentreID, "")), client.ErrInvalid, "name"},
		{"accepting an accepted computer", second(c.Accept(ctx, pc.ID, room.ID, "")), nil, ""},
		{"image name with a slash", second(c.Capture(ctx, api.Capture{ComputerID: pc.ID, Disk: 1, Partition: 2, Image: "a/b"})), client.ErrInvalid, "canonical"},
		{"disk 0", second(c.Capture(ctx, api.Capture{ComputerID: pc.ID, Disk: 0, Partition: 2, Image: "a"})), client.ErrInvalid, "disk"},
		{"restore on nobody", second(c.Restore(ctx, api.Restore{Disk: 1, Partition: 2, Image: "win11"})), client.ErrConflict, "no computers"},
		{"a verb that is none", second(c.Power(ctx, "explode", pc.ID)), client.ErrInvalid, "kind"},
		{"short password", second(c.AddUser(ctx, "ana", "seven77")), client.ErrInvalid, "password"},
	} {
		if x.err == nil || x.want != nil && !errors.Is(x.err, x.want) || !strings.Contains(x.err.Error(), x.says) {
			t.Errorf("%s: got %v, want %v that speaks of %q", x.name, x.err, x.want, x.says)
		}
		if x.err != nil && strings.Contains(x.err.Error(), "inside the appliance") {
			t.Errorf("%s is told as a fault of the appliance", x.name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTokens(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	if _, err := b.socketClient().AddUser(t.Context(), "ana", password); err != nil {
		t.Fatalf("first user through the socket: %v", err)
	}
	c, err := client.New(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.HTTP.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(c.HTTP.CloseIdleConnections)
	if _, err := c.Version(t.Context()); !errors.Is(err, client.ErrDenied) {
		t.Errorf("without a token: %v, want denied", err)
	}
	if err := c.Login(t.Context(), "ana", "wrong"); !errors.Is(err, client.ErrDenied) || c.Token != "" {
		t.Errorf("wrong password: %v, want denied", err)
	}
	if err := c.Login(t.Context(), "ana", password); err != nil {
		t.Fatal(err)
	}
	if users, err := c.Users(t.Context()); err != nil || len(users) != 1 || users[0].Name != "ana" {
		t.Errorf("users %+v, %v", users, err)
	}
	if err := c.SetPassword(t.Context(), "ana", "another password"); err != nil {
		t.Error(err)
	}
	// A bad token is not mended by a good cookie.
	br := b.visit(ts)
	br.post("/login", map[string][]string{"name": {"ana"}, "password": {"another password"}}).want(http.StatusSeeOther)
	for _, header := range []string{"Bearer wrong", "Basic YW5hOng=", "Bearer "} {
		req := br.request("GET", "/api/v1/users", "", "")
		req.Header.Set("Authorization", header)
		if got := br.do(req); got.StatusCode != http.StatusUnauthorized && header != "Bearer " {
			t.Errorf("Authorization %q with a good cookie: got %s, want 401", header, got.Status)
		}
	}
}

func TestOpenAPIDescribesEveryRoute(t *testing.T) {
	b := newBed(t)
	doc := b.local().get("/api/openapi.json").want(http.StatusOK)
	var spec struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(doc.body), &spec); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(spec.OpenAPI, "3.1") {
		t.Errorf("openapi %q, want 3.1", spec.OpenAPI)
	}
	described := map[string]bool{}
	for path, methods := range spec.Paths {
		for method := range methods {
			described[strings.ToUpper(method)+" "+strings.NewReplacer("{", ":", "}", "").Replace(path)] = true
		}
	}
	for key := range access() {
		if _, path, _ := strings.Cut(key, " "); strings.HasPrefix(path, "/api/v1/") && !described[key] {
			t.Errorf("%s is not described", key)
		}
	}
}
