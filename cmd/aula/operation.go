package main

import (
	"context"

	"aula/webui/client"
)

// operationCommand is `aula operation`.
type operationCommand struct {
	List   operationListCommand   `cmd:"" help:"List what was asked of computers, the newest first."`
	Show   operationShowCommand   `cmd:"" help:"Tell how one stands on each computer, and why."`
	Watch  operationWatchCommand  `cmd:"" help:"Watch one until it is over; the exit status is 0 when all computers are done."`
	Cancel operationCancelCommand `cmd:"" help:"Ask every computer of one to stop."`
	Retry  operationRetryCommand  `cmd:"" help:"Start one again on the computers that did not end as they should."`
	Start  operationStartCommand  `cmd:"" help:"Wait no longer for computers that are missing: start with those that are there."`
}

// operationListCommand is `aula operation list`.
type operationListCommand struct {
	remote
	jsonFlag
	Limit int `help:"At most so many." default:"20" short:"n"`
}

// Run lists the operations.
func (c *operationListCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Operations(ctx, c.Limit)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(all)
	}
	return listOperations(all)
}

// operationArg names an operation.
type operationArg struct {
	ID string `arg:"" help:"Id of the operation, as 'aula operation list' has it." name:"id"`
}

// operationShowCommand is `aula operation show`.
type operationShowCommand struct {
	remote
	jsonFlag
	operationArg
}

// Run shows an operation.
func (c *operationShowCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	op, err := server.Operation(ctx, c.ID)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(op)
	}
	return printOperation(op)
}

// operationWatchCommand is `aula operation watch`.
type operationWatchCommand struct {
	remote
	jsonFlag
	operationArg
}

// Run watches an operation.
func (c *operationWatchCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	op, err := server.Operation(ctx, c.ID)
	if err != nil {
		return c.explain(err)
	}
	return watching{remote: c.remote, jsonFlag: c.jsonFlag}.watch(ctx, server, op)
}

// operationCancelCommand is `aula operation cancel`.
type operationCancelCommand struct {
	remote
	jsonFlag
	operationArg
}

// Run cancels an operation.
func (c *operationCancelCommand) Run(ctx context.Context) error {
	return c.change(ctx, c.remote, c.jsonFlag, (*client.Client).Cancel, "its computers are told to stop")
}

// operationStartCommand is `aula operation start`.
type operationStartCommand struct {
	remote
	jsonFlag
	operationArg
}

// Run starts an operation with the PCs that are there.
func (c *operationStartCommand) Run(ctx context.Context) error {
	return c.change(ctx, c.remote, c.jsonFlag, (*client.Client).StartNow, "it starts with the computers that are there")
}

// change changes an operation and prints how it then stands.
func (a operationArg) change(ctx context.Context, r remote, j jsonFlag, do func(*client.Client, context.Context, string) error, effect string) error {
	server, err := r.client()
	if err != nil {
		return err
	}
	if err := do(server, ctx, a.ID); err != nil {
		return r.explain(err)
	}
	op, err := server.Operation(ctx, a.ID)
	if err != nil {
		return r.explain(err)
	}
	return j.tell(op, "operation %s: %s; %s", op.ID, effect, op.Summary)
}

// operationRetryCommand is `aula operation retry`.
type operationRetryCommand struct {
	watching
	operationArg
}

// Run starts an operation again and watches the new one.
func (c *operationRetryCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	op, err := server.Retry(ctx, c.ID)
	if err != nil {
		return c.explain(err)
	}
	return c.watch(ctx, server, op)
}
