"""What the fake does as Microsoft Graph does, and how anybody knows that Graph does so.

Each entry can be taken out (``GraphServer.without``), and then a test that is named after it has to fail
(``tests/servers/test_graph_behaviours.py``): so no entry is a mere word.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

__all__ = ["Behaviour", "Source"]


@dataclass(frozen=True)
class Source:
    """Where a behaviour is written down.

    :param kind: ``documented`` by Microsoft; ``report``: public reports of what people saw; ``assumption``:
        neither says it, and the fake does what is hardest for a client.
    :param page: the title of the page of Microsoft's documentation, or what the report is about.
    :param says: the behaviour in one line.
    """

    kind: Literal["documented", "report", "assumption"]
    page: str
    says: str


def _doc(page: str, says: str) -> Source:
    return Source("documented", page, says)


def _report(page: str, says: str) -> Source:
    return Source("report", page, says)


def _assume(page: str, says: str) -> Source:
    return Source("assumption", page, says)


_ERRORS = "Microsoft Graph error responses and resource types"
_PERMISSIONS = "Microsoft Graph permissions reference"
_LIST = "List messages"
_IDS = "Obtain immutable identifiers for Outlook resources"
_DELTA = "Get incremental changes to messages in a folder"
_DELTA_OVERVIEW = "Use delta query to track changes in Microsoft Graph data"
_DELTA_API = "message: delta"
_SEND = "user: sendMail"
_MIME = "Send messages with MIME content"
_LARGE = "Attach large files to Outlook messages or events"
_THROTTLING = "Microsoft Graph throttling guidance"
_ATTACHMENT = "Get attachment"
_FOLDERS = "List mailFolders"


class Behaviour(Enum):
    """One behaviour of Graph; its value is the `Source`."""

    # Who may do what
    TOKEN_NEEDED = _doc(_ERRORS, "401 InvalidAuthenticationToken without a token, or with one nobody issued")
    TOKEN_ENDS = _doc(_ERRORS, "401 InvalidAuthenticationToken when the token's lifetime is over")
    CLAIMS_CHALLENGE = _doc(
        "How to use Continuous Access Evaluation enabled APIs in your applications",
        "401 with WWW-Authenticate ... claims=<base64> for tokens older than the event",
    )
    PERMISSION_NEEDED = _doc(_PERMISSIONS, "403 ErrorAccessDenied when the token lacks the permission")
    OWN_MAILBOX_ONLY = _doc(
        "Get Outlook messages in a shared or delegated folder",
        "403 ErrorAccessDenied for a person's token at a mailbox that is not shared with that person",
    )
    ME_NEEDS_A_PERSON = _report("/me with application tokens", "400: /me needs delegated authentication")
    MAILBOX_UNKNOWN = _report("ErrorInvalidUser", "404 ErrorInvalidUser for an address nobody has")
    MAILBOX_NOT_ENABLED = _report(
        "MailboxNotEnabledForRESTAPI", "404 MailboxNotEnabledForRESTAPI without a licence, or on-premises"
    )
    REQUEST_ID = _doc(_ERRORS, "request-id in the headers and in innerError; client-request-id comes back")

    # Folders
    WELL_KNOWN_NAMES = _doc("mailFolder resource type", "inbox, archive, ... stand for ids, in any language")
    FOLDERS_BY_TEN = _doc(_FOLDERS, "pages of ten folders, unless $top says more")
    FOLDERS_ONE_LEVEL = _doc(_FOLDERS, "mailFolders lists the top level alone, childFolders one below")
    FOLDERS_HIDDEN = _doc(_FOLDERS, "hidden folders come only with includeHiddenFolders=true")
    FOLDER_EXISTS = _report("ErrorFolderExists", "409 ErrorFolderExists for a second folder of one name")
    FOLDER_FILTER = _doc("List childFolders", "$filter=displayName eq '...', quotes doubled")

    # Listing
    MESSAGES_BY_TEN = _doc(_LIST, "pages of ten messages, unless $top says more")
    TOP_AT_MOST_1000 = _doc(_LIST, "$top from 1 to 1000; 400 beyond")
    NEXT_LINK = _doc("Paging Microsoft Graph data in your app", "@odata.nextLink carries all the options")
    PAGES_SHIFT = _report("$skip in message lists", "pages count from the top: a mail that goes shifts them")
    SELECT = _doc(_LIST, "$select: only these properties, and id")
    HEADERS_BY_SELECT = _doc("message resource type", "internetMessageHeaders only by $select")
    UNSENT_WITHOUT_HEADERS = _report(
        "internetMessageHeaders of drafts and sent mails", "mails that came over no wire have none"
    )
    INEFFICIENT_FILTER = _doc(_LIST, "properties of $orderby stand in $filter first, in order; else 400")
    NOT_FILTERABLE = _report("$filter on messages", "400 for parentFolderId, recipients, headers and body")
    SEARCH_ALONE = _report("$search on messages", "400 for $search together with $filter or $orderby")
    WHOLE_MAILBOX = _doc(_LIST, "/messages lists all folders, Deleted Items too")
    INLINE_IS_NO_ATTACHMENT = _doc("message resource type", "hasAttachments is false with inline ones only")
    RECEIVED_IN_SECONDS = _assume(
        "receivedDateTime", "shown in whole seconds, compared with the fraction that is not shown"
    )
    SIZE_BY_PROPERTY = _doc(
        "singleValueLegacyExtendedProperty resource type",
        "a mail's size comes by $expand=singleValueExtendedProperties, Integer 0x0E08",
    )
    SIZE_OF_THE_STORE = _assume("PidTagMessageSize", "the store's size of a mail, not the MIME's")
    EXPAND_ATTACHMENTS = _doc("Get message", "$expand=attachments brings them, contentBytes too")

    # Ids
    MOVING_CHANGES_ID = _doc(_IDS, "the ordinary id changes when a mail is moved; the old one is 404")
    IMMUTABLE_ID = _doc(_IDS, 'with Prefer: IdType="ImmutableId" a moved mail keeps its id')
    ID_CASE = _doc(_IDS, "ids are case-sensitive")
    ID_NEEDS_QUOTING = _report("ids in paths", "ids hold / + = and have to be percent-encoded")
    ID_MALFORMED = _report("ErrorInvalidIdMalformed", "400 ErrorInvalidIdMalformed for what is no id")

    # Reading and changing
    VALUE_IS_MIME = _doc("Get MIME content of a message", "/$value of a message is its MIME")
    ATTACHMENT_VALUE = _doc(_ATTACHMENT, "/$value of a file is its bytes, of an item MIME, iCalendar, vCard")
    REFERENCE_HAS_NO_VALUE = _doc(_ATTACHMENT, "405 for /$value of a reference attachment")
    ATTACHMENT_SIZE = _doc(_ATTACHMENT, "an attachment's size is the store's, more than the file's")
    SENSITIVE_PROPERTIES = _report(
        "Mail-Advanced.ReadWrite", "403 for PATCH of subject, body, recipients of what is no draft"
    )
    DELETE_KEEPS = _assume("Delete message", "DELETE moves to Deleted Items; there it is for good")
    COPY_IS_NEW = _doc("message: copy", "201 with the copy, which has an id of its own")

    # Delta
    DELTA_OF_FOLDERS_ONLY = _report("/messages/delta", "400: no change tracking of a whole mailbox")
    DELTA_LINK = _doc(_DELTA, "a round ends in @odata.deltaLink, which begins the next")
    DELTA_PAGE_SIZE = _doc(_DELTA, "Prefer: odata.maxpagesize says how large pages are")
    DELTA_LINK_FORM = _doc(_DELTA, "links are of another form than the request: mailfolders('AQMk...')")
    DELTA_EMPTY_PAGE = _doc(_DELTA_OVERVIEW, "a page may be empty and still have a nextLink")
    DELTA_REPLAYS = _doc(_DELTA_OVERVIEW, "the same mail may come twice in a round")
    DELTA_REMOVED = _doc(_DELTA_API, "what is deleted comes as id and @removed")
    DELTA_MOVES = _report("delta and moves", "moved away is @removed here, and created there")
    DELTA_UPDATED = _doc(_DELTA_API, "what is changed comes again")
    DELTA_CHANGE_TYPE = _doc(_DELTA, "changeType=created, updated or deleted: nothing of the others")
    DELTA_FILTER = _doc(_DELTA_API, "$filter is receivedDateTime ge or gt alone; else 400")
    DELTA_FILTER_CAP = _doc(_DELTA_API, "with $filter at most 5,000 messages come")
    DELTA_OPTIONS_STAY = _doc(_DELTA, "options of the first request hold for all links after it")
    DELTA_TOKEN_LOST = _doc(_DELTA_OVERVIEW, "410, or 40x syncStateNotFound or resyncRequired: begin anew")

    # Sending
    SEND_ACCEPTS = _doc(_SEND, "202 without a body: accepted, not delivered")
    SENT_ITEMS_LATER = _doc(_SEND, "the copy in Sent Items comes after a while")
    SAVE_TO_SENT_ITEMS = _doc(_SEND, "saveToSentItems=false keeps no copy")
    MIME_IN_BASE64 = _doc(_MIME, "text/plain is base64 of MIME; else ErrorMimeContentInvalidBase64String")
    BODY_LIMIT = _report("Request body of Graph", "413 beyond 4 MB")
    BCC_IS_STRIPPED = _assume(_MIME, "Bcc in MIME is delivered to, and not shown to the others")
    RECIPIENTS_NEEDED = _report("ErrorInvalidRecipients", "400 ErrorInvalidRecipients without recipients")
    SEND_AS_DENIED = _doc(
        "Send Outlook messages from another user", "403 ErrorSendAsDenied for a From that is not one's own"
    )
    UNDELIVERABLE = _doc(_SEND, "202 for a recipient who does not exist; a report comes to the sender")
    FIVE_HEADERS = _report("internetMessageHeaders", "400 for more than five custom headers in JSON")
    X_HEADERS = _doc("message resource type", "400 for a custom header that does not begin with x-")
    SEND_DRAFT = _doc(_IDS, "a sent draft has the same immutable id in Sent Items, after a while")
    SENT_DRAFT_IS_AWAY = _doc(_IDS, "a sent draft is 404 until its copy is made in Sent Items")
    SEND_DRAFTS_ONLY = _assume("message: send", "400 for what is no draft")

    # Uploads
    UPLOAD_MINIMUM = _doc(_LARGE, "400 for upload sessions of less than 3 MB")
    ATTACH_MAXIMUM = _doc(_LARGE, "413 for POST /attachments of 3 MB and more")
    UPLOAD_ELSEWHERE = _doc(_LARGE, "the upload address is on another host")
    UPLOAD_WITHOUT_TOKEN = _doc(_LARGE, "the upload address takes no Authorization header")
    UPLOAD_IN_ORDER = _doc(_LARGE, "pieces come in order; 416 for others")
    UPLOAD_PIECE_LIMIT = _assume(_LARGE, "413 for pieces of 4 MB; the page only advises against them")
    UPLOAD_ANSWER = _doc(_LARGE, "a piece is answered with ExpirationDateTime, in Outlook's spelling")
    UPLOAD_NEXT = _doc(_LARGE, 'nextExpectedRanges: ["0-"] at first, then ["2097152"]')
    UPLOAD_LAST = _doc(_LARGE, "the last piece: 201, Location, no body; the attachment is there")
    UPLOAD_CANCEL = _doc(_LARGE, "DELETE of the upload address: 204, and it is gone")
    UPLOAD_STATUS = _assume("uploadSession resource type", "GET of the upload address says what is next")

    # Throttling
    FOUR_IN_FLIGHT = _doc(_THROTTLING, "429 ApplicationThrottled for a fifth request of one mailbox")
