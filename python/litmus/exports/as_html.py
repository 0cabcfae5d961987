# SPDX-License-Identifier: Apache-2.0
"""A report in one HTML file that loads nothing from anywhere. The steps are JSON in it, shown 500 at a time,
so that 100,000 of them open as quickly as ten. Without scripts the facts and the counts are still there."""

from __future__ import annotations

from litmus.data._common import ref_dir_for
from litmus.exports.text import encode, to_json, when, xml

_FACTS = (("Serial", "dut_serial"), ("Part", "dut_part_number"), ("Revision", "dut_revision"), ("Lot", "dut_lot_number"), ("Station", "station_id"),
          ("Host", "station_hostname"), ("Operator", "operator_id"), ("Phase", "test_phase"), ("Project", "project_name"), ("Commit", "git_commit"),
          ("Stopped by", "stop_reason"), ("Plan", "plan_digest"))
_STYLE = """body{font:14px/1.45 system-ui,sans-serif;margin:2em;color:#222;background:#fff}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25em .6em;border-bottom:1px solid #ddd;vertical-align:top;overflow-wrap:anywhere}.facts{width:auto}
.passed,.done{color:#17692f}.failed,.errored,.aborted,.terminated{color:#b3261e;font-weight:600}.never_ran,.not_yet{color:#8a5a00;font-weight:600}.skipped{color:#666}
small{color:#555}button,input,select{font:inherit}@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}td,th{border-color:#333}small{color:#aaa}
.passed,.done{color:#6fcf8a}.failed,.errored,.aborted,.terminated{color:#ff8a80}.never_ran,.not_yet{color:#e6b35a}}"""
_SCRIPT = """for(const s of document.querySelectorAll('section')){const all=JSON.parse(s.querySelector('script').textContent),b=s.querySelector('tbody');
let at=0,word='',text='';const q=s.querySelector('input'),w=s.querySelector('select'),n=s.querySelector('output');
for(const k of new Set(all.map(r=>r[1]))){const o=document.createElement('option');o.value=k;o.textContent=k.replace('_',' ');w.append(o)}
function show(){const rows=all.filter(r=>(!word||r[1]===word)&&(!text||(r[0]+' '+r[3]).toLowerCase().includes(text)));
if(at>=rows.length)at=0;b.replaceChildren(...rows.slice(at,at+500).map(r=>{const tr=document.createElement('tr');r.slice(0,5).forEach((v,i)=>{const td=document.createElement('td');
td.textContent=i===1?String(v).replace('_',' '):v;if(i===1)td.className=v;tr.append(td)});
for(const[name,href]of r.slice(5)){const a=document.createElement('a');a.textContent=name;a.href=href;tr.lastChild.append(' ',a)}return tr}));
n.textContent=rows.length?`${at+1} to ${Math.min(at+500,rows.length)} of ${rows.length}`:'none'}
q.oninput=()=>{text=q.value.toLowerCase();at=0;show()};w.onchange=()=>{word=w.value;at=0;show()};
const[p,x]=s.querySelectorAll('button');p.onclick=()=>{at=Math.max(0,at-500);show()};x.onclick=()=>{at+=500;show()};show()}"""


def _number(value) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _measurement(m) -> str:
    limits = f" [{_number(m.limit_low)}, {_number(m.limit_high)}]" if m.limit_low is not None or m.limit_high is not None else ""
    return f"{m.name} = {_number(m.said) or 'none'}{' ' + m.units if m.units else ''}{limits}{' ' + m.outcome if m.outcome else ''}"


def _attached(run, step) -> list:
    """Name and address of each file that was attached to a step."""
    names = {name: uri.rpartition("/")[2] for name, uri in step.outputs.items() if isinstance(uri, str) and uri.startswith("file://_ref/")}
    return [[name, (ref_dir_for(run.path).absolute() / file).as_uri()] for name, file in names.items()] if names and run.path else []


def _row(run, step) -> list:
    attempts = " → ".join(attempt.outcome or "running" for attempt in step.attempts) if len(step.attempts) > 1 else ""
    return [step.node_id or step.path, step.word, f"{step.seconds:.3f}" if step.ran else "", step.why, "; ".join(filter(None, [attempts, *map(_measurement, step.measurements)])), *_attached(run, step)]


def _section(run, out) -> None:
    counts = run.counts()
    word = run.outcome or "in flight"
    facts = [("Run", run.id), ("Outcome", word), ("Started", when(run.started)), ("Took", f"{run.seconds:.3f} s"),
             *((label, run.fields.get(name)) for label, name in _FACTS)]
    rows = "".join(f"<tr><th>{xml(label)}</th><td{f' class={chr(34)}{xml(value)}{chr(34)}' if label == 'Outcome' else ''}>{xml(value)}</td></tr>" for label, value in facts if value)
    sums = ", ".join(f'<span class="{xml(key)}">{number} {xml(key.replace("_", " "))}</span>' for key, number in counts.items())
    out.write(encode(f'<section><h2>{xml(run.title)} <small class="{xml(word)}">{xml(word)}</small></h2><table class="facts">{rows}</table>\n<p class="counts">{sums}</p>\n'
                     '<p><input type="search" placeholder="find" aria-label="find"> <select aria-label="outcome"><option value="">every outcome</option></select> '
                     '<button>earlier</button> <button>later</button> <output></output></p><noscript>The steps are shown by a script in this file.</noscript>\n'
                     "<table><thead><tr><th>Step</th><th>Outcome</th><th>Seconds</th><th>Why</th><th>Attempts, measurements, attachments</th></tr></thead><tbody></tbody></table>\n"
                     '<script type="application/json">['))
    for number, step in enumerate(run.steps):
        # the only thing that could end the script element is <
        out.write(encode((",\n" if number else "\n") + to_json(_row(run, step)).replace("<", "\\u003c")))
    out.write(b"]</script></section>\n")


def write(runs, out) -> None:
    out.write(encode(f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Litmus report</title>\n<style>{_STYLE}</style></head><body>\n<h1>Litmus report</h1>\n'))
    for run in runs:
        _section(run, out)
    out.write(encode(f"<script>{_SCRIPT}</script>\n</body></html>\n"))
