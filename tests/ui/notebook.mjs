/** The kernel in a notebook: one function for each test, named by the option `scenario`. */
import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { options, picture, withLab } from './browser.mjs';

const cell = (page, i) => page.locator('.jp-Notebook .jp-CodeCell').nth(i);
const output = (page, i) => cell(page, i).locator('.jp-OutputArea-output');
const prompt = (page, i) => cell(page, i).locator('.jp-InputArea-prompt');

/** Run a cell as Ctrl-Enter does, without waiting for its end. */
async function run(page, i) {
  await cell(page, i).locator('.cm-content').click();
  await page.keyboard.press('Control+Enter');
}

/** A cell has run to its end. */
async function done(page, i) {
  await prompt(page, i).getByText(/^\[\d+\]:$/).waitFor();
}

/**
 * Press a key again and again until something shows. JupyterLab waits a second for completions, and
 * drops what comes for a cell that changed meanwhile; a busy machine may need longer.
 */
async function pressUntil(page, key, wanted) {
  for (let tries = 0; tries < 10 && !(await wanted.isVisible()); tries++) {
    await page.keyboard.press(key);
    await wanted.waitFor({ timeout: 3000 }).catch(() => undefined);
  }
  await wanted.waitFor();
}

/** Move the slider of the first cell by a key; its callback says the new value. */
async function moved(page, value, key = 'ArrowRight') {
  await cell(page, 0).locator('.noUi-handle').press(key);
  await output(page, 0).getByText(`x is ${value}`).waitFor();
}

/** Run a cell that goes on until it is stopped, and wait until it does. */
async function occupied(page, i) {
  await run(page, i);
  await output(page, i).getByText('busy').waitFor();
  await prompt(page, i).getByText('[*]:').waitFor();
}

const scenarios = {
  /** The stop button ends an endless loop; the next cell runs. */
  async interrupt(page) {
    await run(page, 0);
    await output(page, 0).getByText('begun').waitFor();
    await page.getByRole('button', { name: /^Interrupt the kernel/ }).click();
    await output(page, 0).getByText('KeyboardInterrupt').first().waitFor();
    await run(page, 1);
    await output(page, 1).getByText('after').waitFor();
  },

  /**
   * A loop prints without end: the page says where the output goes and how far it is, takes what is
   * typed, and the stop button ends the loop; the next cell runs.
   */
  async flood(page) {
    await run(page, 0);
    // Only notes are looked at: the text before them is long, and looking through it takes long.
    const note = output(page, 0).locator('p', { hasText: 'The output goes on in' });
    await note.waitFor({ timeout: 60000 });
    const before = await note.textContent();
    await cell(page, 1).locator('.cm-content').click();
    await page.keyboard.press('Control+End');
    await page.keyboard.type(" + ' typed'");
    await cell(page, 1).locator('.cm-content', { hasText: "+ ' typed'" }).waitFor();
    await page.waitForFunction(
      text => ![...document.querySelectorAll('p')].some(p => p.textContent === text),
      before,
      { polling: 500, timeout: 60000 }
    );
    await page.getByText('Python 3 (pxkernel) | Busy').waitFor();
    await page.getByRole('button', { name: /^Interrupt the kernel/ }).click();
    const last = output(page, 0).locator('p', { hasText: 'are not shown here; all of it is in' });
    await last.waitFor({ timeout: 60000 });
    await run(page, 1);
    await output(page, 1).locator('pre', { hasText: 'after typed' }).waitFor({ timeout: 60000 });
    await picture(page, 'flood');
    return page.evaluate(() => {
      const texts = [...document.querySelectorAll('.jp-OutputArea-output')].map(o => o.textContent);
      const characters = texts.reduce((sum, text) => sum + text.length, 0);
      return { characters, interrupted: texts.some(text => text.includes('KeyboardInterrupt')) };
    });
  },

  /** The link below a long output opens all of it; that of a very long one is a download. */
  async whole(page) {
    await run(page, 0);
    await output(page, 0).locator('p', { hasText: 'not shown here' }).waitFor({ timeout: 60000 });
    await done(page, 0);
    await output(page, 0).locator('a[href*="pxkernel-output"]').click();
    const editor = page.locator('.jp-FileEditor .cm-content');
    await editor.getByText('line 0 of all').first().waitFor({ timeout: 60000 });
    const opened = await page.locator('.lm-TabBar-tab.jp-mod-current').innerText();
    await page.getByRole('tab', { name: 'notebook.ipynb' }).click();
    await run(page, 1);
    await output(page, 1).locator('p', { hasText: 'not shown here' }).waitFor({ timeout: 60000 });
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      output(page, 1).locator('a[download]').click()
    ]);
    return { opened, bytes: statSync(await download.path()).size };
  },

  /** Restart forgets what there was; the kernel works on. */
  async restart(page) {
    await run(page, 0);
    await output(page, 0).getByText('defined').waitFor();
    await page.getByRole('button', { name: /^Restart the kernel/ }).first().click();
    await page.getByRole('dialog').getByRole('button', { name: /^(Confirm Kernel )?Restart/ }).click();
    await run(page, 1);
    await output(page, 1).getByText('NameError').first().waitFor();
    await run(page, 0);
    await output(page, 0).getByText('defined').waitFor();
  },

  /**
   * A slider that is moved while another cell runs: its callback's output is there before that cell
   * ends. The page writes the file that the cell waits for.
   */
  async widgets(page) {
    await run(page, 0);
    await output(page, 0).getByText('x is 5').waitFor();
    await moved(page, 6);
    await occupied(page, 1);
    for (const value of [7, 8, 9]) {
      await moved(page, value);
    }
    assert.equal(await prompt(page, 1).textContent(), '[*]:');
    assert.equal(await output(page, 1).getByText('over').count(), 0);
    writeFileSync(options.stop, '');
    await output(page, 1).getByText('over').waitFor();
    await moved(page, 8, 'ArrowLeft');
    await picture(page, 'widgets');
  },

  /** Interrupt and restart while subshells are there: widgets and cells go on as before. */
  async subshells(page) {
    await run(page, 0);
    await output(page, 0).getByText('x is 5').waitFor();
    await occupied(page, 1);
    await moved(page, 6);
    await page.getByRole('button', { name: /^Interrupt the kernel/ }).click();
    await output(page, 1).getByText('KeyboardInterrupt').first().waitFor();
    await moved(page, 7);
    await occupied(page, 1);
    await page.getByRole('button', { name: /^Restart the kernel/ }).first().click();
    await page.getByRole('dialog').getByRole('button', { name: /^(Confirm Kernel )?Restart/ }).click();
    await page.getByText('Python 3 (pxkernel) | Idle').waitFor({ timeout: 60000 });
    await run(page, 0);
    await output(page, 0).getByText('x is 5').waitFor();
    await occupied(page, 1);
    await moved(page, 6);
    writeFileSync(options.stop, '');
    await output(page, 1).getByText('over').waitFor();
  },

  /** input() asks in the page and gets what is typed. */
  async input(page) {
    await run(page, 0);
    const field = page.locator('.jp-Stdin-input');
    await field.fill('Ada');
    await field.press('Enter');
    await output(page, 0).getByText('hello Ada').waitFor();
  },

  /** Completion, a tool tip, a figure and a table: what the page draws by itself. */
  async rich(page) {
    await run(page, 0);
    await done(page, 0);
    assert.equal(await output(page, 0).locator('img').count(), 1);
    await run(page, 1);
    await output(page, 1).locator('b', { hasText: 'bold' }).waitFor();
    await cell(page, 2).locator('.cm-content').click();
    await page.keyboard.press('End');
    const offered = page.locator('.jp-Completer-item', { hasText: 'mean_of_some' });
    await pressUntil(page, 'Tab', offered);
    await page.locator('.jp-Completer-item', { hasText: 'mean_of_all' }).click();
    await cell(page, 2).getByText('mean_of_all').waitFor();
    const tip = page.locator('.jp-Tooltip', { hasText: 'what it is for' });
    await pressUntil(page, 'Shift+Tab', tip);
    await picture(page, 'rich');
  },

  /** The debugger stops at a breakpoint and shows a variable. */
  async debug(page) {
    await page.getByRole('button', { name: 'Enable Debugger' }).click();
    await page.locator('.jp-DebuggerVariables').waitFor();
    await cell(page, 0).locator('.cm-breakpoint-gutter .cm-gutterElement').nth(3).click();
    await run(page, 0);
    await page.locator('.jp-DebuggerCallstack', { hasText: 'area' }).waitFor();
    await page.locator('.jp-DebuggerVariables', { hasText: 'width' }).waitFor();
    await page.locator('.jp-DebuggerVariables', { hasText: '6' }).waitFor();
    await picture(page, 'debugger');
    await page.getByRole('button', { name: /^Continue/ }).first().click();
    await output(page, 0).getByText('42').waitFor();
  }
};

await withLab(
  async page => {
    await page.getByText('Python 3 (pxkernel) | Idle').waitFor({ timeout: 60000 });
    return scenarios[options.scenario](page);
  },
  { path: 'lab/tree/notebook.ipynb' }
);
