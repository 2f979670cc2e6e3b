"""The private API of livekit-agents that detection reads: its functions, and the names that their code must use."""

from __future__ import annotations

VOICE = "livekit.agents.voice."
# The changes that are also reported if they are merely slow.
REPORTED_IF_SLOW = {
    *(f"{VOICE}agent_activity.{name}" for name in ("pause", "drain", "aclose")),
    *(f"{VOICE}agent_session.{name}" for name in ("drain", "_aclose_impl")),
    f"{VOICE}run_result._await_impl",
}
# All changes. An AgentTask and on_enter() of a new agent may take any time, so they are reported only if deadlocked.
CHANGE_FUNCTIONS = REPORTED_IF_SLOW | {f"{VOICE}agent.__await_impl", f"{VOICE}agent_session._update_activity"}
INFO = "__livekit_agents_activity_task"  # the attribute that _get_activity_task_info() reads

_ACTIVITY, _SPEECH = "agent_activity:AgentActivity.", "speech_handle:SpeechHandle."
# function -> its signature, which is not compared here, and the names that its code must use
FINGERPRINT: dict[str, tuple[None, set[str]]] = {
    function: (None, set(names.split()))
    for function, names in {
        "agent:AgentTask._AgentTask__await_impl": "_update_activity",
        "agent:_get_activity_task_info": INFO,
        f"{_ACTIVITY}_create_speech_task": "_speech_tasks _tasks _mark_done _AgentActivityContextVar",
        f"{_ACTIVITY}_pause_scheduling_task": "_scheduling_paused _scheduling_atask _wake_up_scheduling_task",
        f"{_ACTIVITY}_schedule_speech": "_speech_q _mark_scheduled _scheduling_paused",
        f"{_ACTIVITY}_scheduling_task": "_q_updated _drain_blocked_tasks _speech_tasks _current_speech",
        f"{_ACTIVITY}_wake_up_scheduling_task": "_q_updated",
        f"{_ACTIVITY}drain": "_pause_scheduling_task",
        f"{_ACTIVITY}pause": "_pause_scheduling_task blocked_tasks",
        "agent_session:AgentSession._aclose_impl": "",
        "agent_session:AgentSession._update_activity": "_activity_lock",
        "run_result:RunResult.__await__": "_done_fut",
        "run_result:RunResult._mark_done_if_needed": "_handles",
        f"{_SPEECH}add_done_callback": "_done_callbacks",
        f"{_SPEECH}_cancel": "_interrupt_fut",
        f"{_SPEECH}_wait_for_authorization": "_authorize_event",
        f"{_SPEECH}_wait_for_scheduled": "_scheduled_fut",
        f"{_SPEECH}wait_for_playout": "_done_fut",
    }.items()
}
