package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aula/webui/api"
	"aula/webui/client"
)

// waiting is how the commands that start a task wait for it.
type waiting struct {
	server
	jsonFlag
	NoWait bool `help:"Do not wait: print the task's id and leave the rest to the appliance." name:"no-wait"`
}

// cancelWithin is how long the appliance has to cancel a task when the command is interrupted.
const cancelWithin = 10 * time.Second

// wait shows a task until it is over and prints what came of it. When the command is interrupted it cancels the task.
func (w waiting) wait(ctx context.Context, c *client.Client, task api.Task, err error) error {
	if err != nil {
		return err
	}
	warn(task.Warnings...)
	if w.NoWait {
		return w.print(task, task.ID)
	}
	progress := newBar()
	ended, err := c.WaitTask(ctx, task.ID, func(t api.Task) { progress.show(t.Stage, t.Done, t.Total) })
	progress.end()
	if errors.Is(err, context.Canceled) {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelWithin)
		defer cancel()
		if err := c.CancelTask(stopping, task.ID); err != nil {
			return fmt.Errorf("interrupted; the appliance goes on with it (aula task cancel %s stops it): %w", task.ID, err)
		}
		return fmt.Errorf("%s: interrupted, and cancelled", task.Title)
	}
	if err != nil {
		return err
	}
	if len(ended.Warnings) > len(task.Warnings) {
		warn(ended.Warnings[len(task.Warnings):]...)
	}
	if err := w.print(ended, ended.Results...); err != nil {
		return err
	}
	if ended.State != "done" {
		return fmt.Errorf("%s: %s", ended.Title, ended.Problem)
	}
	return nil
}

// print prints a task as JSON or lines about it.
func (w waiting) print(task api.Task, lines ...string) error {
	if w.JSON {
		return printJSON(task)
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	return nil
}
