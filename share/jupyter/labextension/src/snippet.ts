/** The cell that connects a notebook to a cluster: by its name, so that it can be kept. */
import type { NotebookPanel } from '@jupyterlab/notebook';
import { NotebookActions } from '@jupyterlab/notebook';

export function connectCode(id: string): string {
  const which = id === 'default' ? '' : `cluster_id="${id}"`;
  return `from pxparallel import Client\n\nrc = Client(${which})\nrc.ids`;
}

/** Put code into the current cell if that is empty, else into a new one above it. */
export async function insertCode(panel: NotebookPanel, code: string, run: boolean): Promise<void> {
  await panel.revealed;
  await panel.context.ready;
  const notebook = panel.content;
  const cell = notebook.activeCell;
  const empty = cell?.model.type === 'code' && cell.model.sharedModel.getSource().trim() === '';
  if (!empty) {
    NotebookActions.insertAbove(notebook);
  }
  notebook.activeCell?.model.sharedModel.setSource(code);
  if (run) {
    // A notebook that has just been made may still change its connection to the kernel; what is
    // sent before it has settled is answered to nobody.
    await panel.sessionContext.ready;
    await panel.sessionContext.session?.kernel?.info;
    await NotebookActions.run(notebook, panel.sessionContext);
  }
}
