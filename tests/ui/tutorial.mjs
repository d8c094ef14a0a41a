/** The tutorial as a person does it: start two engines in the Cluster tab, run all cells, stop. */
import {
  openClusterTab,
  picture,
  pxcluster,
  row,
  startEngines,
  withLab
} from './browser.mjs';

/** Prompts and output of every code cell, as the page shows them. */
async function readCells(page) {
  return page.locator('.jp-Notebook .jp-CodeCell').evaluateAll(cells =>
    cells.map(cell => ({
      prompt: cell.querySelector('.jp-InputArea-prompt')?.textContent.trim(),
      outputs: [...cell.querySelectorAll('.jp-OutputArea-output')].map(output => ({
        type: output.dataset.mimeType,
        text: output.innerText.trim()
      }))
    }))
  );
}

async function runAll(page) {
  await page.getByRole('menuitem', { name: 'Run', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Run All Cells', exact: true }).click();
  await page.waitForFunction(
    () => {
      const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].map(
        cell => cell.querySelector('.jp-InputArea-prompt')?.textContent.trim() ?? ''
      );
      const failed = document.querySelector('[data-mime-type="application/vnd.jupyter.stderr"]');
      const done = prompts.every(prompt => /^\[\d+\]:$/.test(prompt));
      return prompts.length > 0 && (done || failed !== null);
    },
    undefined,
    { timeout: 60000 }
  );
}

async function save(page) {
  const saved = page.waitForResponse(
    answer => answer.request().method() === 'PUT' && answer.url().includes('tutorial.ipynb')
  );
  await page.getByRole('button', { name: /^Save and create checkpoint/ }).click();
  await saved;
}

await withLab(
  async page => {
    await page.locator('.jp-Notebook .jp-CodeCell').last().waitFor();
    await page.getByText('Python 3 (pxkernel) | Idle').waitFor({ timeout: 60000 });

    const panel = await openClusterTab(page);
    await panel.getByText('No cluster is running.').waitFor();
    await startEngines(panel, 2);
    const engines = pxcluster('status', 'default').engines;

    await runAll(page);
    const cells = await readCells(page);
    await save(page);
    await page.locator('.jp-Notebook .jp-MarkdownCell h2', { hasText: 'Run code' }).evaluate(
      heading => heading.scrollIntoView({ block: 'start' })
    );
    await page.mouse.move(700, 500);
    await picture(page, 'tutorial');

    // The tab asks before it stops engines at work; these have nothing more to do.
    const busy = row(panel, 'default').locator('.px-Mark[data-state="busy"]');
    await busy.first().waitFor({ state: 'detached' });
    await panel.getByRole('button', { name: 'Stop default' }).click();
    await row(panel, 'default').waitFor({ state: 'detached' });
    await panel.getByText('No cluster is running.').waitFor();
    return { cells, engines };
  },
  { path: 'lab/tree/tutorial.ipynb' }
);
